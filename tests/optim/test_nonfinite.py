"""Infinite and NaN losses, gradients and coefficients: raise or skip, and change nothing."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import optim

from conflictopt import (
    Chain,
    MultiLossOptimizer,
    Needs,
    NonFiniteError,
    Recorder,
    Reweighting,
    make,
)
from conflictopt.optim.nonfinite import MAX_SKIPS


@dataclass(frozen=True)
class Drawing(Reweighting):
    """Random weights, NaN from some step on, and a state that counts."""

    nan_from: int = 1000
    needs = Needs.LOSSES
    source = "test"

    def init(self, spec):
        return {"age": torch.zeros(())}

    def update(self, view, state):
        c = torch.rand(view.count, generator=view.generator)
        if state["age"] >= self.nan_from:
            c[1] = torch.nan
        return c, {"age": state["age"] + 1}


class Broken:
    """The losses of a net, with a NaN in the evaluation number ``at``."""

    def __init__(self, pinn, net, at):
        self.pinn, self.net, self.at, self.calls = pinn, net, at, 0

    def __call__(self):
        self.calls += 1
        losses = self.pinn.losses(self.net)
        return {**losses, "ic": losses["ic"] * torch.nan} if self.calls == self.at else losses


class Overshooting(Broken):
    """The losses of a net, 1e30 times as large in the evaluation number ``at``."""

    def __call__(self):
        self.calls += 1
        losses = self.pinn.losses(self.net)
        scale = 1e30 if self.calls == self.at else 1.0
        return {name: loss * scale * scale for name, loss in losses.items()}


def sgd(net):
    return optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def lbfgs(net, **options):
    return optim.LBFGS(net.parameters(), line_search_fn="strong_wolfe", **options)


def nan_loss(losses, net):
    return {**losses, "ic": losses["ic"] * torch.nan}


def nan_gradient(losses, net):
    """Finite, but the gradient of a square root at 0 is not."""
    return {**losses, "ic": losses["ic"] + (0 * net[0].weight).square().sum().sqrt()}


def nothing(losses, net):
    return losses


OF_THE_SUM = "inf or nan in that of the sum of pde, bc, ic although the losses are finite"
OF_IC = "expected finite gradients, found inf or nan in that of 'ic'"
NON_FINITE = {
    "loss-sum": (nan_loss, "sum", "expected finite losses, found 'ic' = nan"),
    "loss-pcgrad": (nan_loss, "pcgrad", "expected finite losses, found 'ic' = nan"),
    "gradient-sum": (nan_gradient, "sum", OF_THE_SUM),
    "gradient-drawing": (nan_gradient, Drawing(), OF_THE_SUM),
    "gradient-ntk": (nan_gradient, make("ntk", refresh=1), OF_THE_SUM),
    "gradient-norms": (nan_gradient, make("grad_norm", refresh=1), OF_IC),
    "gradient-pcgrad": (nan_gradient, "pcgrad", OF_IC),
    "gradient-chain": (nan_gradient, Chain(Drawing(), make("pcgrad")), OF_IC),
    "coefficients": (nothing, Drawing(nan_from=2), "Drawing chose the coefficients .* nan, "),
}


@pytest.mark.parametrize("reaction", ["raise", "skip"])
@pytest.mark.parametrize("case", NON_FINITE)
def test_non_finite_steps_change_nothing(pinn, same, snapshot, case, reaction):
    spoil, method, message = NON_FINITE[case]
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), method, on_nonfinite=reaction)
    pinn.train(net, opt, 2)
    before = snapshot(net, opt)
    residuals = pinn.residuals(net)
    losses = spoil({n: r.square().mean() for n, r in residuals.items()}, net)
    if reaction == "raise":
        with pytest.raises(NonFiniteError, match=message):
            opt.step(losses, residuals)
    else:
        assert opt.step(losses, residuals) is None
    assert opt.skipped == (reaction == "skip")
    assert all(p.grad is None for p in net.parameters())
    assert same(snapshot(net, opt), before)


@pytest.mark.parametrize("nan_first", [True, False])
def test_one_bad_backward_skips_the_whole_step(pinn, same, snapshot, nan_first):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), Drawing(), on_nonfinite="skip")
    pinn.train(net, opt, 2)
    before = snapshot(net, opt)
    opt.zero_grad()
    for bad in (nan_first, not nan_first):
        opt.backward(nan_loss(pinn.losses(net), net) if bad else pinn.losses(net))
    opt.step()
    assert opt.skipped == 1
    assert same(snapshot(net, opt), before)


def test_skipping_gives_up(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), "sum", on_nonfinite="skip")
    bad = {"pde": net[0].weight.sum() * torch.nan}
    for _ in range(MAX_SKIPS):
        opt.step(bad)
    opt.step({"pde": net[0].weight.sum()})  # starts the count again
    for _ in range(MAX_SKIPS):
        opt.step(bad)
    assert opt.skipped == 2 * MAX_SKIPS
    with pytest.raises(NonFiniteError, match="'pde' = nan"):
        opt.step(bad)


@pytest.mark.parametrize("steps_before", [0, 3])
@pytest.mark.parametrize("reaction", ["raise", "skip"])
def test_a_nan_at_the_first_point_of_a_search(pinn, same, reaction, steps_before):
    net = pinn.net()
    opt = MultiLossOptimizer(lbfgs(net, max_iter=8), Recorder(9, 1), on_nonfinite=reaction)
    pinn.train(net, opt, steps_before)
    before = copy.deepcopy(net)
    broken = Broken(pinn, net, 1)
    if reaction == "raise":
        with pytest.raises(NonFiniteError, match="'ic' = nan"):
            opt.step(broken)
    else:
        assert opt.step(broken) is None
    unchanged(opt, net, before, same, steps_before)
    assert opt.skipped == (reaction == "skip")
    pinn.train(net, opt, 3)
    assert opt.completed == steps_before + 3
    assert sum(pinn.losses(net).values()) < sum(pinn.losses(before).values())


@pytest.mark.parametrize("at", [2, 3, 5])
def test_a_search_recovers_from_a_trial_point_as_the_plain_one(pinn, same, at):
    """An overshooting trial is the search's own business: bitwise the plain run."""
    net, plain_net = pinn.net(), pinn.net()
    opt, plain = MultiLossOptimizer(lbfgs(net), "sum"), lbfgs(plain_net)
    broken, plain_broken = Overshooting(pinn, net, at), Overshooting(pinn, plain_net, at)

    def closure():
        plain.zero_grad()
        value = sum(plain_broken().values())
        value.backward()
        return value

    for _ in range(3):
        opt.step(broken)
        plain.step(closure)
    assert broken.calls == plain_broken.calls
    assert all(p.isfinite().all() for p in net.parameters())
    assert same(net, plain_net)
    assert opt.completed == 3


@pytest.mark.parametrize("reaction", ["raise", "skip"])
def test_a_search_that_ends_in_nan_is_undone(pinn, same, reaction):
    """Without a line search L-BFGS walks on from the NaN gradient."""
    net = pinn.net()
    opt = MultiLossOptimizer(optim.LBFGS(net.parameters(), lr=0.1), "pcgrad", on_nonfinite=reaction)
    pinn.train(net, opt, 2)
    before = copy.deepcopy(net)
    generator = opt.session.generator.get_state()
    if reaction == "raise":
        with pytest.raises(
            NonFiniteError, match=r"finite parameters after \d+ closure calls of LBF"
        ):
            opt.step(Broken(pinn, net, at=3))
    else:
        assert opt.step(Broken(pinn, net, at=3)) is None
    unchanged(opt, net, before, same, 2)
    assert torch.equal(opt.session.generator.get_state(), generator)
    pinn.train(net, opt, 3)
    assert sum(pinn.losses(net).values()) < sum(pinn.losses(before).values())


def unchanged(opt, net, before, same, steps):
    """Parameters, gradients and the method's state are those before the step."""
    assert same(net, before)
    assert all(p.grad is None for p in net.parameters())
    assert opt.completed == steps
    if isinstance(opt.aggregator, Recorder):
        assert (opt.session.state or {"age": 0})["age"] == steps


# -- beside a gradient scaler ------------------------------------------------------------------


def scaled(net, method, reaction, steps, overflow_at, clip=True):
    """Training with a gradient scaler on the CPU; the scales after each step."""
    opt = MultiLossOptimizer(optim.Adam(net.parameters(), lr=1e-2), method, on_nonfinite=reaction)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    x = torch.rand(16, 2, generator=torch.Generator().manual_seed(0))
    scales = []
    for step in range(steps):
        u = net(x)
        losses = {"a": (u[:, 0] - 1).square().mean(), "b": (u[:, 0] + x[:, 0]).square().mean()}
        factor = torch.inf if step == overflow_at else 1.0
        opt.zero_grad()
        opt.backward({k: scaler.scale(v) * factor for k, v in losses.items()})
        if clip:
            scaler.unscale_(opt)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1e3)
        scaler.step(opt)
        scaler.update()
        scales.append(scaler.get_scale())
    return opt, scales


@pytest.mark.parametrize("reaction", ["raise", "skip"])
@pytest.mark.parametrize("method", ["sum", "pcgrad", "config", "relobralo"])
@pytest.mark.parametrize("clip", [True, False])
def test_a_scaler_leaves_an_overflow_out_and_backs_off(pinn, method, reaction, clip):
    net = pinn.net()
    opt, scales = scaled(net, method, reaction, steps=5, overflow_at=2, clip=clip)
    assert opt.completed == 4
    assert scales == [1024.0, 1024.0, 512.0, 512.0, 512.0]
    assert all(bool(p.isfinite().all()) for p in net.parameters())


def test_the_sum_beside_a_scaler_is_the_plain_run(pinn):
    nets = pinn.net(), pinn.net()
    scaled(nets[0], "sum", "raise", steps=4, overflow_at=1)
    plain, scaler = optim.Adam(nets[1].parameters(), lr=1e-2), torch.amp.GradScaler("cpu", 1024.0)
    x = torch.rand(16, 2, generator=torch.Generator().manual_seed(0))
    for step in range(4):
        u = nets[1](x)
        loss = (u[:, 0] - 1).square().mean() + (u[:, 0] + x[:, 0]).square().mean()
        plain.zero_grad()
        (scaler.scale(loss) * (torch.inf if step == 1 else 1.0)).backward()
        scaler.step(plain)
        scaler.update()
    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))


@pytest.mark.parametrize("reaction", ["raise", "skip"])
def test_backward_leaves_what_cannot_be_stepped_along_to_the_step(pinn, reaction):
    net = pinn.net()
    before = [p.detach().clone() for p in net.parameters()]
    opt = MultiLossOptimizer(sgd(net), "pcgrad", on_nonfinite=reaction)
    opt.backward(nan_loss(pinn.losses(net), net))
    assert all(bool(p.grad.isnan().all()) for p in net.parameters())
    if reaction == "raise":
        with pytest.raises(NonFiniteError, match="found 'ic' = nan"):
            opt.step()
    else:
        opt.step()
    assert opt.skipped == (reaction == "skip")
    assert opt.completed == 0
    assert all(map(torch.equal, net.parameters(), before))
    opt.step(pinn.losses(net))
    assert opt.completed == 1


def test_a_step_that_was_left_out_is_forgotten_when_its_gradients_are_cleared(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), "relobralo")
    for spoil in (nan_loss, nothing, nothing):
        net.zero_grad()  # not the optimizer's: it is not told
        opt.backward(spoil(pinn.losses(net), net))
    opt.step()
    assert opt.completed == 1
    assert not opt.skipped
