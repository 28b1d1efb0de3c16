"""A wrapped optimizer that steps by residuals: Levenberg-Marquardt."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn, optim

from conflictopt import (
    Chain,
    ConflictOptWarning,
    LevenbergMarquardt,
    LossError,
    Losses,
    MethodError,
    MultiLossOptimizer,
    Needs,
    NonFiniteError,
    Recorder,
    Reweighting,
    attach,
    describe,
    make,
)
from conflictopt.core.losses import FIXED

WEIGHTS = [
    m["name"]
    for m in describe()
    if m["family"] == "reweighting" and "points" not in m["needs"] and m["name"] != "constant"
]
OTHERS = [m["name"] for m in describe() if m["family"] != "reweighting" or "points" in m["needs"]]


@pytest.fixture
def pinn(make_pinn):
    return make_pinn(dtype=torch.float64)


def wrapped(net, method="sum", of_inner=None, **options):
    return MultiLossOptimizer(LevenbergMarquardt(net, **(of_inner or {})), method, **options)


def train(pinn, net, opt, steps):
    for _ in range(steps):
        opt.step(lambda: Losses.of_residuals(pinn.residuals(net)))


def train_alone(pinn, net, opt, steps, weights=(1.0, 1.0, 1.0)):
    def residuals():
        found = pinn.residuals(net).items()
        return {n: (r, w) for (n, r), w in zip(found, weights, strict=True)}

    for _ in range(steps):
        opt.step(residuals)


# -- what a step is ----------------------------------------------------------------------------


def test_with_sum_it_is_bitwise_the_optimizer_alone(pinn, same):
    net, alone = pinn.net(), pinn.net()
    options = {"rows": 24}
    opt, plain = wrapped(net, "sum", options), LevenbergMarquardt(alone, **options)
    train(pinn, net, opt, 5)
    train_alone(pinn, alone, plain, 5)
    assert same(net, alone)
    assert opt.inner.last == plain.last
    assert opt.completed == 5


def test_with_sum_one_loss_is_the_optimizer_alone(make_pinn, same):
    pinn = make_pinn(("ic",), dtype=torch.float64)
    for method in ("sum", "ntk"):
        net, alone = pinn.net(), pinn.net()
        train(pinn, net, wrapped(net, method), 4)
        train_alone(pinn, alone, LevenbergMarquardt(alone), 4, [1.0])
        assert same(net, alone)


def test_weights_act_as_those_of_a_closure(pinn, same):
    net, alone = pinn.net(), pinn.net()
    weights = [2.0, 0.5, 30.0]
    train(pinn, net, wrapped(net, make("constant", weights=weights)), 4)
    train_alone(pinn, alone, LevenbergMarquardt(alone), 4, weights)
    assert same(net, alone)


@pytest.mark.parametrize("method", WEIGHTS)
def test_each_step_has_the_weights_that_a_method_chose(pinn, same, method):
    net, alone = pinn.net(), pinn.net()
    opt, plain = wrapped(net, method), LevenbergMarquardt(alone)
    first = sum(v.item() for v in pinn.losses(net).values())
    for _ in range(6):
        train(pinn, net, opt, 1)
        chosen = opt.last.coefficients
        assert chosen.shape == (3,)
        train_alone(pinn, alone, plain, 1, chosen.tolist())
        assert same(net, alone)
    # famo may give one loss next to no weight
    assert method == "famo" or sum(v.item() for v in pinn.losses(net).values()) < first
    assert opt.inner.last.taken or opt.inner.last.after == opt.inner.last.before


def test_weights_of_the_users_are_multiplied(pinn, same):
    net, alone = pinn.net(), pinn.net()

    def losses():
        found = pinn.residuals(net)
        pairs = {n: ((r, 5.0 if n == "bc" else 1.0),) for n, r in found.items()}
        values = {n: w * r.square().mean() for n, ((r, w),) in pairs.items()}
        return replace(Losses.of(values), residuals=pairs)

    opt = wrapped(net, make("constant", weights=[1.0, 2.0, 3.0]))
    opt.step(losses)
    train_alone(pinn, alone, LevenbergMarquardt(alone), 1, [1.0, 10.0, 3.0])
    assert same(net, alone)


def test_coefficients_hold_every_few_steps(pinn):
    net = pinn.net()
    opt = wrapped(net, make("grad_norm", refresh=1), every=3)
    chosen = []
    for _ in range(7):
        train(pinn, net, opt, 1)
        chosen.append(opt.last.coefficients)
    for i in range(1, 7):
        assert torch.equal(chosen[i], chosen[i - 1]) == (i % 3 != 0)


def test_a_step_counts_once_however_often_it_evaluates(pinn):
    net, calls = pinn.net(), []
    opt = wrapped(net, "ntk")

    def losses():
        calls.append(1)
        return Losses.of_residuals(pinn.residuals(net))

    value = opt.step(losses)
    assert len(calls) >= 3
    assert opt.completed == 1
    assert value == opt.inner.last.before
    assert opt.last.names == ("pde", "bc", "ic")


def test_gradients_stay_unwritten(pinn):
    net = pinn.net()
    train(pinn, net, wrapped(net, "ntk"), 2)
    assert all(p.grad is None for p in net.parameters())


class Some:
    """Losses at few of many points."""

    def __init__(self, pinn, net):
        self.pinn, self.net, self.seen = pinn, net, []
        draw = torch.Generator().manual_seed(7)
        self.points = torch.rand(500, 2, generator=draw, dtype=torch.float64)

    def __call__(self):
        raise AssertionError("all points were evaluated")

    def batch(self, rows, generator):
        chosen = torch.randperm(500, generator=generator)[: rows // 3]
        self.seen.append(chosen)
        points = self.points[chosen]
        return lambda: Losses.of_residuals(self.pinn.residuals(self.net, points))


def test_closures_that_can_are_asked_for_few_rows(pinn):
    net = pinn.net()
    some = Some(pinn, net)
    opt = wrapped(net, "ntk", {"rows": 60})
    for _ in range(3):
        opt.step(some)
    assert [len(s) for s in some.seen] == [20, 20, 20]
    assert not torch.equal(some.seen[0], some.seen[1])
    assert opt.inner.last.rows == 60


def test_schedulers_and_hooks_reach_it(pinn):
    net, seen = pinn.net(), []
    opt = wrapped(net, "ntk")
    opt.register_step_post_hook(lambda *a: seen.append("outer"))
    opt.inner.register_step_post_hook(lambda *a: seen.append("inner"))
    schedule = optim.lr_scheduler.ExponentialLR(opt, 0.5)
    for _ in range(2):
        train(pinn, net, opt, 1)
        schedule.step()
    assert opt.inner.param_groups[0]["lr"] == 0.25
    assert seen == ["inner", "outer"] * 2


# -- checkpoints -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sum", "ntk", "relobralo", "uncertainty"])
def test_resumes_bitwise(pinn, same, through_a_file, method):
    def start():
        net = pinn.net()
        return net, wrapped(net, method, {"rows": 24}, every=2 if method == "ntk" else 1)

    net, opt = start()
    train(pinn, net, opt, 5)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    train(pinn, net, opt, 4)
    other, resumed = start()
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    train(pinn, other, resumed, 4)
    assert same(net, other)
    assert same(opt.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_bitwise(pinn, same, how):
    net = pinn.net()
    opt = wrapped(net, "ntk", {"rows": 24})
    train(pinn, net, opt, 3)
    other, copied = how((net, opt))
    train(pinn, net, opt, 3)
    train(pinn, other, copied, 3)
    assert same(net, other)


def test_a_checkpoint_of_another_inner_optimizer_gives_the_method_alone(pinn):
    net = pinn.net()
    adam = MultiLossOptimizer(optim.Adam(net.parameters()), "grad_norm")
    pinn.train(net, adam, 3)
    opt = wrapped(net, "grad_norm")
    with pytest.warns(ConflictOptWarning, match="found another optimizer's"):
        opt.load_state_dict(adam.state_dict())
    assert opt.completed == 3
    train(pinn, net, opt, 1)
    assert opt.completed == 4


def test_a_run_goes_on_with_it_and_back(pinn):
    net = pinn.net()
    adam = MultiLossOptimizer(optim.Adam(net.parameters()), "grad_norm")
    pinn.train(net, adam, 3)
    opt = adam.rewrap(LevenbergMarquardt(net))
    train(pinn, net, opt, 2)
    again = opt.rewrap(optim.Adam(net.parameters()))
    pinn.train(net, again, 1)
    assert again.completed == 6


# -- what does not go together -----------------------------------------------------------------


@pytest.mark.parametrize("method", OTHERS)
def test_other_methods_are_refused(pinn, method):
    net = pinn.net()
    attach(net, pinn.names)
    chosen = make(method, routing="shared") if method == "adapters" else make(method)
    with pytest.raises(MethodError, match="expected a reweighting with LevenbergMarquardt, found"):
        wrapped(net, chosen)
    pair = (chosen, make("ntk")) if chosen.needs & Needs.POINTS else (make("ntk"), chosen)
    with pytest.raises(MethodError, match="expected a reweighting with LevenbergMarquardt, found"):
        wrapped(net, Chain(*pair))
    opt = wrapped(net, "ntk")
    with pytest.raises(MethodError, match="Use 'sum', or one that weights whole losses"):
        opt.set_aggregator(chosen)
    assert opt.aggregator == make("ntk")


def test_a_run_of_another_method_does_not_go_on_with_it(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(optim.Adam(net.parameters()), "pcgrad")
    with pytest.raises(MethodError, match="expected a reweighting with LevenbergMarquardt"):
        opt.rewrap(LevenbergMarquardt(net))


def test_auto_is_refused(pinn):
    net = pinn.net()
    with pytest.raises(MethodError, match="expected a fixed method with LevenbergMarquardt"):
        wrapped(net, "auto", model=net)
    opt = MultiLossOptimizer(optim.Adam(net.parameters()), "auto", profile_steps=20)
    with pytest.raises(MethodError, match="expected a fixed method with LevenbergMarquardt"):
        opt.rewrap(LevenbergMarquardt(net))


@pytest.mark.parametrize("update", ["check", "correct"])
def test_updates_are_not_held_against_gradients(pinn, update):
    net = pinn.net()
    with pytest.raises(MethodError, match=f"expected update='trust' .* found '{update}'"):
        wrapped(net, "sum", update=update)
    opt = MultiLossOptimizer(optim.Adam(net.parameters()), "grad_norm", update=update)
    with pytest.warns(ConflictOptWarning, match=f"'{update}' does not apply to Levenberg"):
        going_on = opt.rewrap(LevenbergMarquardt(net))
    assert going_on.update == "trust"
    train(pinn, net, going_on, 1)
    assert going_on.completed == 1


def test_losses_without_a_closure_are_refused(pinn, same):
    net, untouched = pinn.net(), pinn.net()
    opt = wrapped(net, "ntk")
    for given in ([pinn.losses(net)], []):
        with pytest.raises(LossError, match="expected a closure with LevenbergMarquardt"):
            opt.step(*given)
    with pytest.raises(LossError, match=r"found backward\(losses\)"):
        opt.backward(pinn.losses(net))
    assert same(net, untouched)
    assert all(p.grad is None for p in net.parameters())


def test_losses_without_residuals_are_refused(pinn, same, snapshot):
    net = pinn.net()
    opt = wrapped(net, "sum")
    before = snapshot(net, opt)["net"]
    with pytest.raises(MethodError, match="needs the residuals of every loss and got none"):
        opt.step(lambda: pinn.losses(net))
    assert same(net.state_dict(), before)
    assert opt.completed == 0


def test_losses_that_are_no_mean_squares_are_refused(pinn):
    net = pinn.net()
    opt = wrapped(net, "sum")
    with pytest.raises(MethodError, match="defined for mean-square losses; loss 'pde' is"):
        opt.step(
            lambda: Losses.of(
                {n: r.abs().mean() for n, r in pinn.residuals(net).items()}, pinn.residuals(net)
            )
        )


def test_a_regulariser_is_refused(pinn):
    net = pinn.net()
    opt = wrapped(net, "sum")

    def losses():
        found = Losses.of_residuals(pinn.residuals(net))
        weight_decay = sum(p.square().sum() for p in net.parameters())
        return replace(found, terms=(*found.terms, weight_decay), groups=(*found.groups, FIXED))

    with pytest.raises(LossError, match="found a regulariser beside them"):
        opt.step(losses)


@dataclass(frozen=True)
class Negative(Reweighting):
    """A weight that no mean square can have."""

    needs = Needs.LOSSES
    source = "test"

    def init(self, spec):
        return {}

    def update(self, view, state):
        return torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64), state


def test_negative_weights_are_refused(pinn):
    net = pinn.net()
    opt = wrapped(net, Negative())
    with pytest.raises(MethodError, match="expected one weight >= 0 for each loss from Negative"):
        train(pinn, net, opt, 1)
    assert opt.session.pending is None


def test_other_losses_than_before_are_refused(pinn):
    net = pinn.net()
    opt = wrapped(net, "ntk")
    train(pinn, net, opt, 1)
    with pytest.raises(LossError, match="expected the 3 losses"):
        opt.step(lambda: Losses.of_residuals({"pde": pinn.residuals(net)["pde"]}))


# -- steps that fail ---------------------------------------------------------------------------


class Broken:
    """Losses with NaN, or an error, from the evaluation number ``at`` on."""

    def __init__(self, pinn, net, at, error=None):
        self.pinn, self.net, self.at, self.error, self.calls = pinn, net, at, error, 0

    def __call__(self):
        self.calls += 1
        found = self.pinn.residuals(self.net)
        if self.calls >= self.at:
            if self.error is not None:
                raise self.error
            found["ic"] = found["ic"] * torch.nan
        return Losses.of_residuals(found)


@pytest.mark.parametrize("method", ["sum", "ntk", "uncertainty"])
@pytest.mark.parametrize("reaction", ["raise", "skip"])
def test_non_finite_steps_change_nothing(pinn, same, snapshot, method, reaction):
    net = pinn.net()
    opt = wrapped(net, method, on_nonfinite=reaction)
    train(pinn, net, opt, 2)
    before = snapshot(net, opt)
    if reaction == "raise":
        with pytest.raises(NonFiniteError, match="ic"):
            opt.step(Broken(pinn, net, 1))
    else:
        assert opt.step(Broken(pinn, net, 1)) is None
    assert opt.skipped == (reaction == "skip")
    assert same(snapshot(net, opt), before)
    train(pinn, net, opt, 1)
    assert opt.completed == 3


def test_trials_into_nan_are_refused_and_the_step_counts(pinn, same):
    net = pinn.net()
    opt = wrapped(net, "ntk", {"trials": 2})
    train(pinn, net, opt, 1)
    before = copy.deepcopy(net.state_dict())
    opt.step(Broken(pinn, net, 2))
    assert not opt.inner.last.taken
    assert same(net.state_dict(), before)
    assert opt.completed == 2


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("of the user's")])
def test_closures_that_raise_leave_everything(pinn, same, snapshot, at, error):
    net = pinn.net()
    opt = wrapped(net, "uncertainty")
    train(pinn, net, opt, 2)
    before = snapshot(net, opt)
    with pytest.raises(type(error)):
        opt.step(Broken(pinn, net, at, error))
    assert same(snapshot(net, opt), before)
    other = pinn.net()
    going_on = wrapped(other, "uncertainty")
    train(pinn, other, going_on, 3)
    train(pinn, net, opt, 1)
    assert same(net, other)


# -- beside it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sum", "ntk"])
def test_a_recorder_beside_it_changes_nothing(pinn, same, method):
    net, plain = pinn.net(), pinn.net()
    recorder = Recorder(steps=8, every=2)
    opt = wrapped(net, recorder if method == "sum" else Chain(recorder, make(method)))
    train(pinn, net, opt, 8)
    train(pinn, plain, wrapped(plain, method), 8)
    assert same(net, plain)
    assert opt.profile.gramians.shape == (4, 3, 3)


def test_losses_of_residuals(pinn):
    net = pinn.net()
    residuals = pinn.residuals(net)
    found = Losses.of_residuals({"one": residuals["pde"], "more": list(residuals.values())[1:]})
    assert found.names == ("one", "more")
    expected = pinn.losses(net)
    assert found.values()[0] == expected["pde"].item()
    assert found.values()[1] == (expected["bc"] + expected["ic"]).item()
    assert [len(found.residual_pairs(k)) for k in range(2)] == [1, 2]
    assert found.residual_pairs(0) == ((residuals["pde"], 1.0),)
    found.total().backward()
    assert net[0].weight.grad is not None


def test_unknowns_of_an_inverse_problem_are_found(make_pinn):
    pinn = make_pinn(unknown=True, dtype=torch.float64)
    net = pinn.net()
    opt = wrapped(net, "ntk")
    before = net.nu.item()
    train(pinn, net, opt, 3)
    assert net.nu.item() != before
    assert isinstance(net.nu, nn.Parameter)
