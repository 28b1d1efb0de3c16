"""A real torch optimizer: checkpoints, copies, schedulers, groups, hooks."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from conflictopt import ConflictOptWarning, LevenbergMarquardt
from conflictopt.curvature import growth

OPTIONS = {
    "plain": {},
    "rows that grow": {"rows": 36, "growth": 1.3, "most_rows": 60},
    "measured": {"measured": ("ic",), "rows": None},
    "batched": {"engine": "batched", "rows": 36},
}


class Inverse(nn.Module):
    """A network with an unknown scalar beside it."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.nu = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, x):
        return self.nu * self.layers(x)


@pytest.fixture
def run(make_heat, monkeypatch):
    """``run(**options)``: a heat problem of 40 points, a net and its optimizer."""
    monkeypatch.setattr(growth, "_PATIENCE", 2)
    monkeypatch.setattr(growth, "_PROGRESS", 3.0)
    heat = make_heat(40)

    def start(**options):
        net = Inverse(heat.net())
        return heat, net, LevenbergMarquardt(net, **options)

    return start


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_resumes_bitwise(run, same, through_a_file, options):
    heat, net, opt = run(**options)
    heat.train(net, opt, 6)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    if "growth" in options:
        assert saved["opt"]["state"][0]["rows"] > options["rows"]
    heat.train(net, opt, 5)
    _, other, resumed = run(**options)
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    heat.train(other, resumed, 5)
    assert same(net, other)
    assert same(opt.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("case", ["rows that grow", "measured"])
@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_bitwise(run, same, case, how):
    heat, net, opt = run(**OPTIONS[case])
    heat.train(net, opt, 4)
    other, copied = how((net, opt))
    assert copied.options == opt.options
    assert copied.last == opt.last
    heat.train(net, opt, 4)
    heat.train(other, copied, 4)
    assert same(net, other)
    assert copied.param_groups[0]["params"][0] is next(iter(other.parameters()))


def test_copies_before_the_first_step(run, same):
    heat, net, opt = run()
    other, copied = copy.deepcopy((net, opt))
    heat.train(net, opt, 2)
    heat.train(other, copied, 2)
    assert same(net, other)


def test_loading_before_and_after_the_first_step(run, same, through_a_file):
    heat, net, opt = run()
    saved = through_a_file(opt.state_dict())
    heat.train(net, opt, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.load_state_dict(saved)
    other_heat, other, fresh = run()
    other.load_state_dict(net.state_dict())
    heat.train(net, opt, 2)
    other_heat.train(other, fresh, 2)
    assert same(net, other)


def test_the_state_of_another_optimizer_is_left_where_it_is(run, same):
    heat, net, opt = run()
    heat.train(net, opt, 2)
    before = copy.deepcopy(opt.state_dict())
    adam = optim.Adam(net.parameters(), lr=1e-3)
    net(heat.points).sum().backward()
    adam.step()
    with pytest.warns(ConflictOptWarning, match="found another optimizer's"):
        opt.load_state_dict(adam.state_dict())
    assert same(opt.state_dict(), before)


def test_learning_rates_and_schedulers_scale_the_step(heat):
    def length(lr, **options):
        net, start = heat.net(), heat.net()
        opt = LevenbergMarquardt(net, lr=lr, trials=1, damping=1.0, **options)
        heat.train(net, opt, 1)
        assert opt.last.taken
        pairs = zip(net.parameters(), start.parameters(), strict=True)
        return torch.cat([(a - b).detach().reshape(-1) for a, b in pairs])

    torch.testing.assert_close(length(0.3), 0.3 * length(1.0), rtol=1e-10, atol=1e-14)
    net = heat.net()
    opt = LevenbergMarquardt(net)
    schedule = lr_scheduler.StepLR(opt, 2, gamma=0.1)
    for _ in range(4):
        heat.train(net, opt, 1)
        schedule.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(0.01)


def test_groups_have_rates_of_their_own(heat):
    net, start = heat.net(), heat.net()
    whole = LevenbergMarquardt(whole_net := heat.net(), trials=1, damping=1.0)
    heat.train(whole_net, whole, 1)
    groups = [
        {"params": net[0].parameters(), "lr": 0.5},
        {"params": [*net[2].parameters(), *net[4].parameters()]},
    ]
    opt = LevenbergMarquardt(groups, trials=1, damping=1.0)
    assert [g["lr"] for g in opt.param_groups] == [0.5, 1.0]
    heat.train(net, opt, 1)
    assert opt.last.taken
    for name, p in net.named_parameters():
        old, full = dict(start.named_parameters())[name], dict(whole_net.named_parameters())[name]
        share = 0.5 if name.startswith("0") else 1.0
        torch.testing.assert_close(p - old, share * (full - old), rtol=1e-10, atol=1e-14)


def test_groups_may_come_later(heat, same):
    net, other = heat.net(), heat.net()
    opt = LevenbergMarquardt([*net[0].parameters(), *net[2].parameters()])
    heat.train(net, opt, 2)
    assert torch.equal(net[4].weight, other[4].weight)
    opt.add_param_group({"params": net[4].parameters()})
    heat.train(net, opt, 2)
    assert not torch.equal(net[4].weight, other[4].weight)
    assert opt.last.taken


def test_frozen_parameters_stay_and_may_be_freed(heat):
    net = heat.net()
    opt = LevenbergMarquardt(net)
    heat.train(net, opt, 1)
    net[0].requires_grad_(False)
    kept = net[0].weight.detach().clone()
    losses = heat.train(net, opt, 3)
    assert torch.equal(net[0].weight, kept)
    net[0].requires_grad_(True)
    losses += heat.train(net, opt, 3)
    assert not torch.equal(net[0].weight, kept)
    assert losses == sorted(losses, reverse=True)


def test_a_frozen_first_parameter_keeps_the_state(heat, same, through_a_file):
    def start():
        net = heat.net()
        net[0].requires_grad_(False)
        return net, LevenbergMarquardt(net)

    net, opt = start()
    heat.train(net, opt, 3)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    heat.train(net, opt, 2)
    other, resumed = start()
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    heat.train(other, resumed, 2)
    assert same(net, other)


def test_hooks_run_around_each_step(heat):
    net = heat.net()
    opt = LevenbergMarquardt(net)
    seen = []
    handles = [
        opt.register_step_pre_hook(lambda *a: seen.append("pre")),
        opt.register_step_post_hook(lambda *a: seen.append("post")),
        register_optimizer_step_pre_hook(lambda *a: seen.append("every pre")),
        register_optimizer_step_post_hook(lambda *a: seen.append("every post")),
    ]
    try:
        heat.train(net, opt, 1)
    finally:
        for handle in handles:
            handle.remove()
    assert sorted(seen) == ["every post", "every pre", "post", "pre"]
    opt.register_state_dict_post_hook(lambda o, d: {**d, "mine": 1})
    assert opt.state_dict()["mine"] == 1


def test_parameters_of_a_generator_and_names(heat):
    net = heat.net()
    opt = LevenbergMarquardt(p for p in net.parameters())
    assert len(opt.param_groups[0]["params"]) == 6
    assert isinstance(opt, optim.Optimizer)
    assert "lr: 1.0" in repr(opt)
