"""The parameters that did best on fresh rows are kept, and loaded when asked for."""

from __future__ import annotations

import copy
import statistics

import pytest
import torch
from torch import nn

from conflictopt import (
    LevenbergMarquardt,
    Losses,
    MethodError,
    MultiLossOptimizer,
    NonFiniteError,
)


def start(value=1.0):
    """One parameter, fitted to zeros."""
    return nn.Parameter(torch.full((2,), value, dtype=torch.float64))


def put(p, value):
    with torch.no_grad():
        p.fill_(value)


def test_what_did_worse_on_the_rows_of_a_step_is_not_kept():
    theta = start(1.0)
    opt = LevenbergMarquardt([theta], lr=0.0)
    opt.step(lambda: {"r": theta})  # which stays at 1
    put(theta, 3.0)
    opt.step(lambda: {"r": theta})
    assert theta.tolist() == [3.0, 3.0]
    opt.load_best(lambda: {"r": theta})
    assert theta.tolist() == [1.0, 1.0]


def test_what_does_as_well_is_kept_if_it_is_later():
    theta = start(1.0)
    opt = LevenbergMarquardt([theta], lr=0.0)
    opt.step(lambda: {"r": theta})
    put(theta, -1.0)
    opt.step(lambda: {"r": theta})
    opt.load_best(lambda: {"r": theta})
    assert theta.tolist() == [-1.0, -1.0]


def test_both_are_judged_on_the_same_rows_and_weights():
    """The best so far is not what once had a low loss, but what has a lower one now."""
    theta, goal = start(1.0), [0.0]
    opt = LevenbergMarquardt([theta], lr=0.0)
    opt.step(lambda: {"r": theta - goal[0]})
    put(theta, 3.0)
    goal[0] = 2.5
    opt.step(lambda: {"r": theta - goal[0]})
    put(theta, 0.0)
    opt.load_best(lambda: {"r": theta - goal[0]})
    assert theta.tolist() == [3.0, 3.0]


def overfitted(keep_best):
    """Few rows of many noisy values: each step fits its own, and undoes what others did.

    Losses on all rows after the last steps, those with the best loaded, and evaluations so far.
    """
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(400, 1, generator=draw, dtype=torch.float64)
    y = torch.sin(6 * x) + 0.3 * torch.randn(400, 1, generator=draw, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 30), nn.Tanh(), nn.Linear(30, 1)).double()
    calls, present, best = [], [], []

    def residuals():
        calls.append(1)
        return {"data": net(x) - y}

    def loss():
        return float((net(x) - y).detach().square().mean())

    opt = LevenbergMarquardt(net, rows=30, most_rows=30, keep_best=keep_best)
    for step in range(60):
        opt.step(residuals)
        if step >= 40:
            present.append(loss())
            values = copy.deepcopy(net.state_dict())
            taken = len(calls)
            opt.load_best(residuals)
            del calls[taken:]
            best.append(loss())
            net.load_state_dict(values)
    return present, best, len(calls)


def test_keep_best():
    present, best, calls = overfitted(True)
    assert statistics.mean(best) < 0.95 * statistics.mean(present)
    plain, unchanged, fewer = overfitted(False)
    assert plain == unchanged == present  # it changes no step
    assert calls == fewer + 59


def test_residuals_that_are_rounding_errors_stay_where_they_are(heat):
    theta = start()
    opt = LevenbergMarquardt([theta])
    while not opt.converged:
        opt.step(lambda: {"r": theta})
    at_the_end = theta.detach().clone()
    opt.load_best(lambda: {"r": theta - 1})
    assert torch.equal(theta, at_the_end)


def test_before_the_first_step_nothing_is_loaded(heat, same):
    net = heat.net()
    LevenbergMarquardt(net).load_best(lambda: heat.residuals(net))
    assert same(net, heat.net())


def test_a_failed_step_keeps_what_was_kept():
    theta, bad = start(3.0), [False]
    opt = LevenbergMarquardt([theta], lr=0.0)
    opt.step(lambda: {"r": theta})
    put(theta, 1.0)

    def residuals():
        return {"r": theta * float("nan") if bad[0] else theta}

    bad[0] = True
    with pytest.raises(NonFiniteError):
        opt.step(residuals)
    assert opt.state[theta]["best_values"].tolist() == [3.0, 3.0]


def test_what_is_not_finite_any_more_gives_way_to_what_was_best():
    theta = start(3.0)
    opt = LevenbergMarquardt([theta], lr=0.0)
    opt.step(lambda: {"r": theta})
    put(theta, float("nan"))
    opt.load_best(lambda: {"r": theta})
    assert theta.tolist() == [3.0, 3.0]


def test_an_interruption_while_it_is_judged_moves_nothing():
    theta, calls = start(3.0), []
    opt = LevenbergMarquardt([theta], lr=0.0)
    opt.step(lambda: {"r": theta})
    put(theta, 1.0)

    def residuals():
        calls.append(1)
        if len(calls) == 2:  # at the best so far
            raise KeyboardInterrupt
        return {"r": theta}

    with pytest.raises(KeyboardInterrupt):
        opt.step(residuals)
    assert theta.tolist() == [1.0, 1.0]


def test_it_is_part_of_a_checkpoint(heat, same, through_a_file):
    net = heat.net()
    opt = LevenbergMarquardt(net, rows=32)
    heat.train(net, opt, 5)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    other = heat.net()
    resumed = LevenbergMarquardt(other, rows=32)
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    for each, optimizer in ((net, opt), (other, resumed)):
        with torch.no_grad():
            each[0].weight.mul_(30)
        spoilt = each[0].weight.detach().clone()
        optimizer.load_best(lambda each=each: heat.residuals(each))
        assert not torch.equal(each[0].weight, spoilt)
    assert same(net, other)


def test_a_wrapped_one_judges_by_the_weights_of_the_method_and_keeps_its_state(heat, same):
    net = heat.net()
    opt = MultiLossOptimizer(LevenbergMarquardt(net, rows=32), "ntk")

    def losses():
        return Losses.of_residuals(heat.residuals(net))

    for _ in range(4):
        opt.step(losses)
    with torch.no_grad():
        net[0].weight.mul_(30)
    before = copy.deepcopy(opt.state_dict())
    opt.load_best(losses)
    assert same(opt.state_dict(), before)
    kept = [opt.inner.state[p]["best_values"] for p in net.parameters()]
    assert all(torch.equal(p, value) for p, value in zip(net.parameters(), kept, strict=True))


def test_other_optimizers_keep_none(heat):
    opt = MultiLossOptimizer(torch.optim.Adam(heat.net().parameters()), "sum")
    with pytest.raises(MethodError, match="found Adam, which keeps no best parameters"):
        opt.load_best(lambda: None)


def test_a_group_that_comes_later_begins_anew(heat, same):
    net = heat.net()
    opt = LevenbergMarquardt([*net[0].parameters(), *net[2].parameters()], lr=0.0)
    heat.train(net, opt, 1)
    opt.add_param_group({"params": net[4].parameters(), "lr": 0.0})
    heat.train(net, opt, 1)
    opt.load_best(lambda: heat.residuals(net))
    assert same(net, heat.net())
