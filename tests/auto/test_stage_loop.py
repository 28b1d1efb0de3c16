"""``auto`` in a torch loop whose closure returns residuals: steps on these after the profile."""

from __future__ import annotations

import copy
import io

import pytest
import torch

from conflictopt import LossError, Losses, MethodError, MultiLossOptimizer, TrainingOptions
from conflictopt.auto import stage as stage_module
from conflictopt.auto.measurements import Measurements
from conflictopt.auto.stage_pace import StagePace
from conflictopt.auto.step_times import StepTimes
from conflictopt.core.errors import ConflictOptWarning
from conflictopt.selection import curvature_case

from .loops import PROFILE, STEPS, Loop, same

pytestmark = pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
DUE, DUE_FIRST = StagePace.due, StagePace.due_first


@pytest.fixture(autouse=True)
def every_call(monkeypatch):
    """There is a step on residuals in every call, and few calls are enough."""
    due = property(lambda self: len(self.taken) + self.firsts < self.calls)
    monkeypatch.setattr(StagePace, "due", due)
    monkeypatch.setattr(StagePace, "due_first", lambda self: self.due)
    monkeypatch.setattr(curvature_case, "LEAST_ITERATIONS", 1)
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 0)
    monkeypatch.setattr(stage_module, "LEAST_OF_SOAP", -(10**9))


def test_the_profile_is_bitwise_the_plain_loop_and_then_the_error_falls():
    plain, auto = Loop(auto=False), Loop()
    plain.run(100, plain.plain)
    auto.run(99)
    assert not auto.opt.in_stage
    auto.run(1)
    assert same(plain.parameters, auto.parameters)
    assert auto.opt.in_stage
    auto.run(STEPS - 100)
    plain.run(STEPS - 100, plain.plain)
    assert auto.error < 1e-3 * plain.error
    assert auto.opt.completed == STEPS
    assert auto.opt.control.trained_with[-1] == (100, "LevenbergMarquardt")
    assert set(auto.opt.last.names) == {"pde", "ic"}
    assert any("so far; 30 plain ones would have taken" in line for line in auto.opt.control.log)


def test_calls_between_steps_evaluate_nothing(monkeypatch):
    tenth = property(lambda pace: pace.calls % 10 == 0 and pace.calls not in pace.taken)
    monkeypatch.setattr(StagePace, "due", tenth)
    auto = Loop().run(100)
    before, evaluated = auto.parameters, auto.evaluated
    auto.run(9)
    assert same(before, auto.parameters)
    assert auto.evaluated == evaluated
    auto.run(1)
    assert not same(before, auto.parameters)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"steps": None, "residual_steps": None}, "nobody said how many steps the loop takes"),
        ({"profile_every": 1}, "every step of the profile was sampled"),
        ({"update": "check"}, "updates are looked at"),
        ({"reweighting": "ntk"}, "a reweighting, adapters or a rule was asked for"),
    ],
)
def test_the_log_says_why_there_are_none(options, why):
    auto = Loop(**options).run(102)
    assert not auto.opt.in_stage
    assert not auto.opt.plan.curvature
    assert any(f"no steps on residuals, as {why}" in line for line in auto.opt.control.log)


def test_losses_that_are_handed_over_cannot_be_evaluated_again():
    auto = Loop()
    for _ in range(102):
        losses = auto.closure()
        auto.opt.step(losses)
    assert not auto.opt.in_stage
    assert any("step() was given losses" in line for line in auto.opt.control.log)


def test_in_the_stage_only_closures_are_of_use():
    auto = Loop().run(101)
    for use in (auto.opt.step, auto.opt.backward):
        with pytest.raises(LossError, match="a closure with the plan of 'auto'"):
            use(auto.closure())
    with pytest.raises(LossError, match="a closure with the plan of 'auto'"):
        auto.opt.step()


def test_weight_decay_and_bad_options_are_told():
    decays = Loop(auto=False)
    decays.opt = MultiLossOptimizer(
        torch.optim.AdamW(decays.net.parameters()), "auto", steps=STEPS, **PROFILE
    )
    decays.run(101)
    assert any("AdamW decays weights" in line for line in decays.opt.control.log)
    for given in ({"steps": 0}, {"steps": 1.5}, {"measured": "ic"}, {"measured": (1,)}):
        with pytest.raises(MethodError, match=next(iter(given))):
            TrainingOptions(**given)
    for given in ({"steps": 10}, {"measured": ("ic",)}, {"curvature": False}):
        with pytest.raises(MethodError, match=next(iter(given))):
            MultiLossOptimizer(torch.optim.Adam([torch.zeros(1)]), "ntk", **given)


def test_named_measurements_get_less_weight_once_they_are_at_rest(monkeypatch):
    monkeypatch.setattr(Measurements, "saw", lambda self, last: setattr(self, "at_rest", True))
    found = [Loop(measured=names).run(STEPS) for names in ((), ("pde",))]
    assert found[1].opt.control.stage.part.optimizer.options.measured == ("pde",)
    assert not same(found[0].parameters, found[1].parameters)


class Last:
    names = ("pde", "data")

    def __init__(self, *values):
        self.values = values


def test_measurements_are_at_rest_once_their_loss_falls_no_more():
    falling, resting, met = (Measurements(("data",)) for _ in range(3))
    for step in range(60):
        falling.saw(Last(1e-9, 0.9**step))
        resting.saw(Last(1e-3, 0.5 + 0.01 * (step % 2)))
        met.saw(Last(1.0, 0.5))
    assert (falling.at_rest, resting.at_rest, met.at_rest) == (False, True, False)
    again = Measurements(())
    again.load_state_dict(resting.state_dict())
    assert (again.at_rest, again.names) == (True, ("data",))


def test_measurements_whose_loss_rises_with_less_weight_get_it_back_for_good():
    measured = Measurements(("data",))
    for _ in range(60):
        measured.saw(Last(1e-3, 0.5))
    assert measured.at_rest
    for step in range(60):
        measured.saw(Last(1e-3, 0.5 + 0.01 * step))
    assert not measured.at_rest
    again = Measurements(())
    again.load_state_dict(measured.state_dict())
    for _ in range(60):
        again.saw(Last(1e-3, 0.5))
    assert not again.at_rest


@pytest.mark.parametrize("at", [40, 99, 100, 110])
def test_it_resumes_bitwise(at):
    whole, first = Loop().run(STEPS), Loop().run(at)
    stored = io.BytesIO()
    torch.save({"opt": first.opt.state_dict(), "net": first.net.state_dict()}, stored)
    stored.seek(0)
    saved = torch.load(stored, weights_only=True)
    other = Loop()
    other.opt.load_state_dict(saved["opt"])
    other.net.load_state_dict(saved["net"])
    other.run(STEPS - at)
    assert same(whole.parameters, other.parameters)
    assert other.opt.completed == STEPS
    assert other.opt.plan == whole.opt.plan


def test_a_copy_goes_on_alike():
    auto = Loop().run(110)
    net, opt, x = copy.deepcopy((auto.net, auto.opt, auto.x))
    other = Loop()
    other.net, other.opt, other.x = net, opt, x
    assert same(auto.run(5).parameters, other.run(5).parameters)


def test_a_damaged_stage_loads_nothing():
    from conflictopt.core.errors import CheckpointError

    saved = Loop().run(110).opt.state_dict()
    del saved["conflictopt"]["control"]["stage"]["pace"]["spent"]
    saved["conflictopt"]["version"] = 2  # written before there were digests
    other = Loop().run(3)
    before = other.parameters
    with pytest.raises(CheckpointError, match="expected steps on residuals"):
        other.opt.load_state_dict(saved)
    assert same(before, other.parameters)
    assert not other.opt.in_stage
    assert other.opt.completed == 3
    other.run(2)


def test_a_replayed_pace_takes_the_same_steps(monkeypatch):
    monkeypatch.undo()
    recorded = StagePace(1.0)
    for took in (3.0, 2.0, 4.0):
        recorded.call()
        while not recorded.due:
            recorded.call()
        recorded.took(took)
    again = StagePace(1e-9, replayed=recorded.taken)
    for _ in range(recorded.calls):
        again.call()
        while again.due:
            again.took(1e3)
    assert again.taken == recorded.taken
    assert len(recorded.taken) == 3


def test_what_the_profile_took_more_than_plain_steps(monkeypatch):
    now = iter([0.0, 5.0, 10.0, 11.0, 20.0, 25.0, 30.0, 31.0])
    monkeypatch.setattr("conflictopt.auto.step_times.time.perf_counter", lambda: next(now))
    times = StepTimes(2)
    for step in range(4):
        times.began()
        times.ended(step)
    assert times.plain == 1.0
    assert times.overhead(1.0) == 8.0
    assert times.overhead(0.5) == 10.0
    again = StepTimes(2)
    again.load_state_dict(times.state_dict())
    assert (again.plain, again.overhead(1.0)) == (1.0, 8.0)


def test_a_run_repeats_the_steps_of_another(monkeypatch):
    monkeypatch.setattr(StagePace, "due", DUE)
    monkeypatch.setattr(StagePace, "due_first", DUE_FIRST)
    monkeypatch.setattr(StepTimes, "overhead", lambda *_: 0.0)
    with monkeypatch.context() as timed:
        timed.setattr(StepTimes, "plain", property(lambda _: 2e-3))
        first = Loop(steps=300).run(300)
    taken = first.opt.control.residual_steps
    assert taken
    monkeypatch.setattr(StepTimes, "plain", property(lambda _: 1e-9))  # no time for any
    again, none = Loop(steps=300, residual_steps=taken).run(300), Loop(steps=300).run(300)
    assert again.opt.control.residual_steps == taken
    assert same(first.parameters, again.parameters)
    assert len(none.opt.control.residual_steps) < len(taken)
    assert not same(first.parameters, none.parameters)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.RMSprop])
def test_it_repeats_that_they_were_given_up(monkeypatch, optimizer):
    monkeypatch.setattr(StagePace, "due", DUE)
    monkeypatch.setattr(StagePace, "due_first", DUE_FIRST)
    with monkeypatch.context() as patched:
        patched.setattr(stage_module, "LEAST_STEPS", 10**9)
        first = Loop(steps=900, optimizer=optimizer).run(900)
    taken = first.opt.control.residual_steps
    assert 0 in taken
    again = Loop(steps=900, residual_steps=taken, optimizer=optimizer).run(900)
    assert same(first.parameters, again.parameters)
    assert again.opt.in_stage is (optimizer is torch.optim.Adam)  # SOAP takes its place


@pytest.mark.parametrize("steps", ["12", [1.0], [2, 1], [-2, -1], [True], 3])
def test_steps_to_repeat_are_numbers_of_calls(steps):
    with pytest.raises(MethodError, match="residual_steps as numbers of calls"):
        TrainingOptions(residual_steps=steps)


def test_step_returns_a_loss_in_every_call(monkeypatch):
    never = property(lambda pace: pace.calls > 5 and len(pace.taken) < pace.calls)
    monkeypatch.setattr(StagePace, "due", never)
    auto = Loop()
    found = [auto.opt.step(auto.closure) for _ in range(110)]
    assert all(isinstance(loss, torch.Tensor) and loss.ndim == 0 for loss in found)
    assert all(torch.isfinite(loss) for loss in found)
    assert {loss.dtype for loss in found} == {torch.float64}
    assert found[-1] < found[100]


def test_a_longer_loop_than_announced_goes_on_and_says_so_once(monkeypatch):
    auto = Loop().run(STEPS)
    lines, evaluated = len(auto.opt.control.log), auto.evaluated
    before = auto.parameters
    auto.run(3)
    assert len(auto.opt.control.log) == lines
    assert auto.evaluated > evaluated
    assert not same(before, auto.parameters)


def test_an_error_of_the_closure_is_the_users_once_steps_have_helped():
    auto = Loop().run(120)
    before, residuals = auto.parameters, auto.residuals

    def broken():
        raise RuntimeError("a bug")

    auto.residuals = broken
    with pytest.raises(RuntimeError, match="a bug"):
        auto.run(1)
    assert same(before, auto.parameters)
    auto.residuals = residuals
    assert auto.opt.in_stage
    auto.run(1)
    assert not same(before, auto.parameters)


def test_before_that_it_ends_the_stage_with_a_warning():
    auto = Loop().run(100)
    before, residuals = auto.parameters, auto.residuals
    auto.residuals = lambda: 1 / 0
    with pytest.warns(ConflictOptWarning, match="no steps on residuals: ZeroDivisionError"):
        auto.run(1)
    assert same(before, auto.parameters)
    assert not auto.opt.control.stage.by_residuals
    with pytest.raises(ZeroDivisionError):
        auto.run(1)
    auto.residuals = residuals
    auto.run(1)
    assert not same(before, auto.parameters)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.RMSprop])
def test_losses_that_are_no_mean_squares_go_on_by_first_order_steps(optimizer):
    auto = Loop(optimizer=optimizer).run(120)

    def closure():
        return {n: r.abs().mean() for n, r in auto.residuals().items()}

    with pytest.warns(ConflictOptWarning, match="LossError|MethodError"):
        auto.opt.step(closure)
    before = auto.parameters
    took = auto.opt.control.trained_with[-1][1]
    if optimizer is torch.optim.RMSprop:
        assert took.startswith("NTK")  # whose place SOAP cannot take: the rule's plan
        return
    auto.run(2, closure)
    assert not same(before, auto.parameters)
    assert took == "SOAP"


def test_skipped_steps_are_counted():
    auto = Loop(on_nonfinite="skip").run(120)
    before = auto.parameters
    auto.run(
        1, lambda: Losses.of_residuals({n: r * float("nan") for n, r in auto.residuals().items()})
    )
    assert auto.opt.skipped == 1
    assert auto.opt.completed == 120
    assert same(before, auto.parameters)
    assert auto.opt.in_stage


def _resting(monkeypatch):
    """A run whose residuals count as rounding errors."""
    monkeypatch.setattr("conflictopt.curvature.optimizer._CONVERGED", 1e-4)
    auto = Loop(steps=10_000).run(130)
    assert auto.opt.control.stage.rest is not None
    return auto


def test_rests_do_nothing_and_end(monkeypatch):
    auto = _resting(monkeypatch)
    evaluated, before = auto.evaluated, auto.parameters
    auto.run(3)
    assert (auto.evaluated, same(before, auto.parameters)) == (evaluated, True)
    assert sum("no steps on residuals for now" in line for line in auto.opt.control.log) == 1
    monkeypatch.setattr(StagePace, "waited", lambda self, steps: True)
    auto.x = torch.linspace(0, 3, 24, dtype=torch.float64)[:, None].requires_grad_()
    auto.run(20)
    assert not same(before, auto.parameters)
    assert auto.opt.in_stage


def test_another_optimizer_of_the_same_kind_goes_on_with_them(monkeypatch):
    auto = _resting(monkeypatch)
    auto.opt = auto.opt.rewrap(torch.optim.Adam(auto.net.parameters(), lr=1e-4))
    assert auto.opt.in_stage
    assert auto.opt.control.stage.rest is None
    decays = torch.optim.AdamW(auto.net.parameters(), lr=1e-4)
    auto.opt = auto.opt.rewrap(decays)
    assert not auto.opt.in_stage
    auto.run(2)


def test_parameters_that_are_added_are_trained():
    auto = Loop().run(110)
    shift = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    auto.opt.add_param_group({"params": [shift]})
    residuals = auto.residuals
    auto.residuals = lambda: {**(found := residuals()), "ic": found["ic"] + shift}
    auto.run(5)
    assert shift.item() != 0


def test_another_method_is_refused_in_them():
    auto = Loop().run(110)
    with pytest.raises(MethodError, match="no set_aggregator in steps on residuals"):
        auto.opt.set_aggregator("ntk")


def test_a_best_that_cannot_be_loaded_is_an_error():
    auto = Loop().run(110)
    with pytest.raises(LossError):
        auto.opt.load_best(lambda: {})
    assert auto.opt.control.stage.rest is None


def test_measured_losses_that_are_none_are_refused_at_the_first_step():
    with pytest.raises(MethodError, match="found \\['dta'\\] beside the losses"):
        Loop(measured=("dta",)).run(1)


def test_seconds_may_be_more_or_less_than_those_of_plain_steps(monkeypatch):
    monkeypatch.setattr(StagePace, "due", DUE)
    monkeypatch.setattr(StagePace, "due_first", DUE_FIRST)
    monkeypatch.setattr(StepTimes, "total", 1.0)
    few, more = (Loop(steps=130, seconds=s).run(130).opt.control for s in (0.5, 3.0))
    assert few.stage.pace.seconds == 0.0
    assert more.stage.pace.seconds == pytest.approx(2.0 / 30)
    assert len(few.residual_steps) <= 1 < len(more.residual_steps)
    for value in (0, -1.0, "3", True):
        with pytest.raises(MethodError, match="expected seconds as a number > 0"):
            TrainingOptions(seconds=value)


@pytest.mark.parametrize(
    "given", [{"steps": 9}, {"seconds": 9}, {"measured": ("ic",)}, {"residual_steps": [1]}]
)
def test_options_without_effect_are_refused(given):
    with pytest.raises(MethodError, match="with curvature=True"):
        TrainingOptions(curvature=False, **given)


def test_a_run_that_had_none_is_repeated_without_any():
    auto = Loop(residual_steps=()).run(103)
    assert not auto.opt.in_stage
    assert any("the run that is repeated had none" in line for line in auto.opt.control.log)


def test_networks_with_statistics_of_batches_have_none():
    auto = Loop()
    auto.net = torch.nn.Sequential(auto.net, torch.nn.BatchNorm1d(1).double())
    auto.residuals = lambda: {"pde": auto.net(auto.x) - 1, "ic": auto.net(auto.x[:5])}
    adam = torch.optim.Adam(auto.net.parameters(), lr=1e-2)
    auto.opt = MultiLossOptimizer(adam, "auto", model=auto.net, steps=STEPS, **PROFILE)
    auto.run(102)
    assert not auto.opt.in_stage
    assert any("keeps statistics of its batches" in line for line in auto.opt.control.log)


def test_an_interrupted_step_is_none(monkeypatch):
    auto = Loop().run(110)
    pace, before = auto.opt.control.stage.pace, auto.parameters
    state = pace.state_dict()

    def interrupted():
        raise KeyboardInterrupt

    residuals, auto.residuals = auto.residuals, interrupted
    with pytest.raises(KeyboardInterrupt):
        auto.run(1)
    auto.residuals = residuals
    assert same(before, auto.parameters)
    assert pace.state_dict() == state
    assert auto.opt.completed == 110
