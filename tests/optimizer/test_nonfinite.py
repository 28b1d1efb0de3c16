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
from conflictopt.optimizer import MAX_SKIPS


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
@pytest.mark.parametrize("at", [1, 2, 4])
@pytest.mark.parametrize("reaction", ["raise", "skip"])
def test_a_nan_at_a_trial_point(pinn, same, reaction, at, steps_before):
    net = pinn.net()
    opt = MultiLossOptimizer(lbfgs(net, max_iter=8), Recorder(9, 1), on_nonfinite=reaction)
    pinn.train(net, opt, steps_before)
    before = copy.deepcopy(net)
    broken = Broken(pinn, net, at)
    if reaction == "raise":
        with pytest.raises(NonFiniteError, match="'ic' = nan"):
            opt.step(broken)
    else:
        assert opt.step(broken) is None
    assert broken.calls == at
    assert same(net, before)
    assert all(p.grad is None for p in net.parameters())
    assert opt.completed == steps_before
    assert (opt.session.state or {"age": 0})["age"] == steps_before
    assert opt.skipped == (reaction == "skip")
    pinn.train(net, opt, 3)
    assert opt.completed == steps_before + 3
    assert sum(pinn.losses(net).values()) < sum(pinn.losses(before).values())


def test_a_nan_at_a_trial_point_leaves_the_generator(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(lbfgs(net), "pcgrad", on_nonfinite="skip")
    before = opt.state_dict()["conflictopt"]["generator"]
    opt.step(Broken(pinn, net, at=3))
    assert opt.skipped == 1
    assert torch.equal(opt.state_dict()["conflictopt"]["generator"], before)
