"""Step hooks, global hooks, schedulers and the profiler around a step of the wrapper."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import optim
from torch.optim import lr_scheduler
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.profiler import ProfilerActivity, profile

from conflictopt import LossError, MultiLossOptimizer


@pytest.fixture
def net(pinn):
    return pinn.net()


@pytest.fixture
def opt(net):
    return MultiLossOptimizer(optim.Adam(net.parameters(), lr=1e-2), "pcgrad")


def regions(work):
    """How often each optimizer's profiler region was entered."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    names = [e.name for e in found.events() if e.name.startswith("Optimizer.")]
    return {name: names.count(name) for name in names}


def test_hooks_see_the_arguments_as_they_were_given(pinn, net, opt):
    seen = []
    opt.register_step_pre_hook(lambda *given: seen.append(given))
    opt.register_step_post_hook(lambda *given: seen.append(given))
    losses, residuals = pinn.losses(net), pinn.residuals(net)
    opt.step(losses, residuals=residuals)
    assert len(seen) == 2
    for self, args, kwargs in seen:
        assert self is opt
        assert args == (opt, losses)
        assert kwargs.keys() == {"residuals"}
        assert kwargs["residuals"] is residuals


def test_losses_may_come_by_keyword(pinn, net, opt):
    seen = []
    opt.register_step_pre_hook(lambda o, args, kwargs: seen.append((len(args), set(kwargs))))
    opt.step(losses=pinn.losses(net), residuals=None)
    assert seen == [(1, {"losses", "residuals"})]
    assert opt.completed == 1


def test_each_hook_sees_what_the_one_before_it_made(pinn, net, opt):
    tripled = {n: 3 * v for n, v in pinn.losses(net).items()}
    seen = []
    opt.register_step_pre_hook(lambda o, args, kwargs: ((o,), {"losses": tripled}))
    opt.register_step_pre_hook(lambda o, args, kwargs: seen.append((args, kwargs)))
    opt.register_step_post_hook(lambda o, args, kwargs: seen.append((args, kwargs)))
    opt.step("nonsense")
    assert seen == [((opt,), {"losses": tripled})] * 2
    assert opt.last.values == pytest.approx([v.item() for v in tripled.values()])


def test_hooks_can_be_removed_and_put_first(pinn, net, opt):
    seen = []
    removed = opt.register_step_pre_hook(lambda *_: seen.append("removed"))
    opt.register_step_pre_hook(lambda *_: seen.append("second"))
    removed.remove()
    opt.step(pinn.losses(net))
    assert seen == ["second"]


def test_hooks_fire_around_a_closure_once(pinn, net):
    opt = MultiLossOptimizer(optim.LBFGS(net.parameters(), max_iter=4), "sum")
    seen = []
    opt.register_step_pre_hook(lambda *_: seen.append("pre"))
    opt.register_step_post_hook(lambda *_: seen.append("post"))
    value = opt.step(lambda: pinn.losses(net))
    assert seen == ["pre", "post"]
    assert isinstance(value, torch.Tensor)


def test_after_a_step_that_failed_no_hook_fires(opt):
    seen = []
    opt.register_step_post_hook(lambda *_: seen.append("post"))
    with pytest.raises(LossError):
        opt.step("nonsense")
    assert seen == []


def test_what_a_post_hook_returns_is_ignored(pinn, net, opt):
    opt.register_step_post_hook(lambda *_: 3)
    assert opt.step(pinn.losses(net)) is None


def test_global_hooks_run_once_around_the_inner_step(pinn, net, opt):
    seen = []
    own = opt.register_step_pre_hook(lambda *_: seen.append("own pre"))
    handles = [
        register_optimizer_step_pre_hook(lambda o, *_: seen.append(("pre", o))),
        register_optimizer_step_post_hook(lambda o, *_: seen.append(("post", o))),
    ]
    try:
        opt.step(pinn.losses(net))
        opt.backward(pinn.losses(net))
        opt.step()
    finally:
        for handle in [own, *handles]:
            handle.remove()
    once = ["own pre", ("pre", opt.inner), ("post", opt.inner)]
    assert seen == once * 2


def test_hooks_of_one_wrapper_are_not_those_of_another(pinn, net, opt):
    other = MultiLossOptimizer(optim.Adam(net.parameters()), "sum")
    seen = []
    opt.register_step_pre_hook(lambda *_: seen.append(1))
    other.step(pinn.losses(net))
    assert seen == []


@pytest.mark.parametrize("inner", [optim.SGD, optim.Adam, optim.AdamW])
def test_the_profiler_shows_the_inner_optimizer_once(pinn, net, inner):
    opt = MultiLossOptimizer(inner(net.parameters(), lr=1e-3), "pcgrad")
    assert regions(lambda: pinn.train(net, opt, 2)) == {f"Optimizer.step#{inner.__name__}.step": 2}


def test_a_scheduler_counts_steps_and_does_not_warn(pinn, net, opt):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler = lr_scheduler.ExponentialLR(opt, 0.5)
        for _ in range(3):
            opt.step(pinn.losses(net))
            scheduler.step()
    assert opt.inner.param_groups[0]["lr"] == pytest.approx(1e-2 / 8)


def test_a_scheduler_that_comes_before_the_step_warns_as_on_any_optimizer(opt):
    scheduler = lr_scheduler.ExponentialLR(opt, 0.5)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()


@pytest.mark.parametrize("wrong", [3, "ab", (1,), (1, 2, 3)])
def test_a_hook_that_returns_nonsense_gets_the_error_of_torch(pinn, net, opt, wrong):
    plain = optim.Adam(pinn.net().parameters())
    message = "must return None or a tuple of"
    for one, given in ((plain, ()), (opt, (pinn.losses(net),))):
        one.register_step_pre_hook(lambda *_: wrong)
        with pytest.raises(RuntimeError, match=message):
            one.step(*given)
    assert opt.completed == 0
