"""The parts of a stage: steps on residuals, and first-order ones where these come to nothing."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch

from conflictopt import CheckpointError, Losses
from conflictopt.auto import stage as stage_module
from conflictopt.auto.first_order_part import WARM, FirstOrderPart
from conflictopt.auto.residual_part import ResidualPart
from conflictopt.auto.stage_pace import StagePace
from conflictopt.core.errors import ConflictOptWarning
from conflictopt.curvature.optimizer import LevenbergMarquardt
from conflictopt.optim.guarded_soap import GuardedSOAP
from conflictopt.selection import curvature_case

from .loops import Loop, same

STEPS = 200
SOAP = "SOAP -> NTK"
LM = "LevenbergMarquardt"
DUE_FIRST = StagePace.due_first


@pytest.fixture(autouse=True)
def every_call(monkeypatch):
    """There is a step in every call, and few calls are enough."""
    due = property(lambda self: len(self.taken) + self.firsts < self.calls)
    monkeypatch.setattr(StagePace, "due", due)
    monkeypatch.setattr(StagePace, "due_first", lambda self: self.due)
    few_are_enough(monkeypatch)


def few_are_enough(monkeypatch):
    monkeypatch.setattr(curvature_case, "LEAST_ITERATIONS", 1)
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 0)
    monkeypatch.setattr(stage_module, "LEAST_OF_SOAP", -(10**9))


@pytest.fixture
def soap(monkeypatch):
    """Steps on residuals are too few: after three SOAP goes on, from the call after the next."""
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 10**9)


def trained_with(loop):
    return loop.opt.control.trained_with[1:]


def test_steps_that_lower_the_loss_stay():
    assert trained_with(Loop(steps=STEPS).run(STEPS)) == [(100, LM)]


def test_steps_that_had_to_become_short_are_left_to_the_own_optimizer():
    auto = Loop(steps=400).run(100)
    before = auto.parameters
    auto.run(19)
    part = auto.opt.control.stage.part
    assert part.short_steps is None
    part._dampings[0] /= 1e30
    auto.run(1)
    assert same(before, auto.parameters)
    assert auto.opt.control.stage.part.run.inner is auto.opt.inner
    assert any("their damping has become" in line for line in auto.opt.control.log)
    auto.run(10)
    plain = Loop(auto=False)
    plain.run(110, plain.plain)
    assert same(plain.parameters, auto.parameters)
    auto.run(270)
    assert trained_with(auto) == [(100, LM), (120, "Sum")]


@pytest.mark.parametrize(("margin", "caught_up"), [(0.1, 140), (0.04, None), (0.0, None)])
def test_the_own_optimizer_makes_up_for_steps_that_are_undone(monkeypatch, margin, caught_up):
    monkeypatch.setattr(stage_module, "MARGIN", margin)
    monkeypatch.setattr(StagePace, "due_first", DUE_FIRST)
    monkeypatch.setattr("conflictopt.auto.step_times.StepTimes.plain", property(lambda _: 0.1))
    monkeypatch.setattr(ResidualPart, "short_steps", "short")
    auto = Loop(steps=400).run(130)
    saved = copy.deepcopy(auto)
    auto.run(270)
    assert same(auto.parameters, saved.run(270).parameters)
    firsts = 280 + int(margin * 300) if margin < 0.1 else 300
    assert auto.opt.control.stage.pace.firsts == firsts
    if caught_up is not None:
        for steps in (caught_up, 400):
            plain = Loop(auto=False)
            plain.run(steps, plain.plain)
            assert same(plain.parameters, Loop(steps=400).run(steps).parameters)


def test_the_loop_s_own_optimizer_goes_first_and_its_schedule_counts(soap):
    auto = Loop(steps=STEPS).run(104)
    part = auto.opt.control.stage.part
    assert isinstance(part, FirstOrderPart)
    assert part.run.inner.inner is auto.opt.inner
    auto.run(WARM)
    assert part.run.inner.soap is None
    auto.run(1)
    assert part.run.inner.soap is not None
    for group in auto.opt.param_groups:
        group["lr"] = 0.0
    before = auto.parameters
    auto.run(1)
    assert same(before, auto.parameters)


def test_an_optimizer_whose_place_soap_cannot_take_goes_on_with_the_rule_s_plan(soap):
    auto = Loop(steps=STEPS, optimizer=torch.optim.RMSprop).run(STEPS)
    assert not auto.opt.in_stage
    assert [step for step, _ in trained_with(auto)] == [100, 103]


def test_an_error_of_steps_on_residuals_leaves_them_for_good(monkeypatch):
    auto = Loop(steps=STEPS).run(100)
    monkeypatch.setattr(LevenbergMarquardt, "step", lambda *_: 1 / 0)
    with pytest.warns(ConflictOptWarning, match="ZeroDivisionError"):
        auto.run(1)
    before = auto.error
    auto.run(99)
    assert trained_with(auto) == [(100, LM), (101, "SOAP")]
    assert auto.error < before


def test_too_few_steps_leave_them_for_good(soap):
    auto = Loop(steps=STEPS).run(100)
    before = auto.parameters
    auto.run(3)
    assert same(before, auto.parameters)
    auto.run(STEPS - 103)
    assert trained_with(auto) == [(100, LM), (103, SOAP)]
    assert auto.opt.control.stage.part.steps == 96
    log = "\n".join(auto.opt.control.log)
    assert "fit into the time that is left" in log
    assert "3 steps on residuals and 96 first-order steps in" in log


def test_the_end_has_the_lowest_loss_of_late(monkeypatch, soap):
    monkeypatch.setattr(GuardedSOAP, "of_next_step", lambda self: self.inner)
    auto = Loop(steps=STEPS).run(199)
    best, lowest = auto.parameters, auto.opt.control.stage.part
    assert 0 < lowest._lowest < 1
    for group in auto.opt.param_groups:
        group["lr"] = 10.0  # the last step spoils all
    auto.run(1)
    losses = sum(float(r.detach().square().mean()) for r in auto.residuals().values())
    assert losses <= lowest._lowest * (1 + 1e-9)
    assert auto.error < 1
    assert len(best) == len(auto.parameters)


def test_the_last_calls_alone_keep_parameters(soap):
    auto = Loop(steps=STEPS).run(185)
    assert auto.opt.control.stage.part._values == []
    auto.run(9)
    assert auto.opt.control.stage.part._values


def own(monkeypatch):
    monkeypatch.setattr(stage_module, "EARLY", 10)
    short = property(lambda part: "short" if part.steps == 10 else None)
    monkeypatch.setattr(ResidualPart, "short_steps", short)


def only_soap(monkeypatch):
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 10**9)


def soap_fails(monkeypatch):
    only_soap(monkeypatch)
    step = GuardedSOAP.step

    def fail(self, closure=None):
        if self._taken == 35:
            raise torch.linalg.LinAlgError("no eigenvalues.")
        return step(self, closure)

    monkeypatch.setattr(GuardedSOAP, "step", fail)


@pytest.mark.parametrize("at", [102, 110, 130, 150, 190])
@pytest.mark.parametrize("by", ["checkpoint", "copy"])
@pytest.mark.parametrize("goes_on", [lambda _: None, own, only_soap, soap_fails])
def test_resuming_is_bitwise_in_every_part(monkeypatch, at, by, goes_on):
    goes_on(monkeypatch)
    straight, first = Loop(steps=STEPS).run(STEPS), Loop(steps=STEPS).run(at)
    if by == "copy":
        again = copy.deepcopy(first)
    else:
        again, file = Loop(steps=STEPS), io.BytesIO()
        saved = {"optimizer": first.opt.state_dict(), "net": first.net.state_dict()}
        torch.save(saved, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=True)
        again.opt.load_state_dict(loaded["optimizer"])
        again.net.load_state_dict(loaded["net"])
    again.run(STEPS - at)
    assert same(straight.parameters, again.parameters)
    assert trained_with(again) == trained_with(straight)


@pytest.mark.parametrize("goes_on", [own, only_soap])
def test_a_run_repeats_the_parts_of_another(monkeypatch, goes_on):
    monkeypatch.undo()
    few_are_enough(monkeypatch)
    goes_on(monkeypatch)
    first = Loop(steps=500).run(500)
    history = first.opt.control.residual_steps
    assert any(n > 0 for n in history)
    monkeypatch.setattr("conflictopt.auto.step_times.StepTimes.plain", property(lambda _: 1e-9))
    again = Loop(steps=500, residual_steps=history).run(500)
    assert again.opt.control.residual_steps == history
    assert trained_with(again) == trained_with(first)
    assert same(first.parameters, again.parameters)


def test_first_order_steps_are_left_out_where_time_does_not_suffice(monkeypatch):
    monkeypatch.undo()
    pace, taken = StagePace(1.0), 0
    for _ in range(12):
        pace.call()
        if pace.due_first():
            taken += 1
            pace.took_first(1.5)
    assert taken == 8
    assert len(pace.missed) == 4
    again = StagePace(1e-9, replayed=pace.history)
    for _ in range(12):
        again.call()
        if again.due_first():
            again.took_first(9.0)
    assert again.missed == pace.missed
    loaded = StagePace(0.0)
    loaded.load_state_dict(pace.state_dict())
    assert loaded.state_dict() == pace.state_dict()


def test_a_later_call_is_not_undone_by_the_best_of_an_earlier_one(soap):
    auto = Loop(steps=STEPS).run(STEPS)  # the steps announced are over
    auto.x = torch.linspace(0, 3, 24, dtype=torch.float64)[:, None].requires_grad_()
    stage, before = auto.opt.control.stage, auto.parameters
    stage.call(auto.closure, 30)
    for left in range(29, -1, -1):
        stage.call(auto.closure, left)
    assert not same(before, auto.parameters)


def test_errors_of_soap_return_to_the_loop_s_own_optimizer(monkeypatch):
    soap_fails(monkeypatch)
    auto = Loop(steps=STEPS).run(139)
    with pytest.warns(ConflictOptWarning, match="no steps of SOAP: _?LinAlgError"):
        auto.run(1)
    before = auto.parameters
    auto.run(1)
    assert not same(before, auto.parameters)
    assert trained_with(auto)[-1][1] == "Sum"
    assert any("SOAP failed" in line for line in auto.opt.control.log)


def test_a_refused_checkpoint_leaves_the_loop_s_optimizer_as_it_was(soap):
    first, other = Loop(steps=STEPS).run(150), Loop(steps=STEPS).run(5)
    saved = first.opt.state_dict()
    saved["conflictopt"]["control"]["stage"]["pace"] = {}
    saved["conflictopt"]["version"] = 2  # written before there were digests
    before = copy.deepcopy(other.opt.inner.state_dict())
    with pytest.raises(CheckpointError):
        other.opt.load_state_dict(saved)
    for key, value in before["state"][0].items():
        assert torch.equal(other.opt.inner.state_dict()["state"][0][key], value)


def test_a_skip_ends_the_call():
    auto = Loop(on_nonfinite="skip").run(120)
    auto.opt.control.stage.pace.taken.clear()  # credit for many steps
    auto.run(1, lambda: Losses.of_residuals({n: r * math.nan for n, r in auto.residuals().items()}))
    assert auto.opt.skipped == 1


def test_what_was_taken_is_known_after_the_stage_and_its_checkpoint(monkeypatch):
    monkeypatch.setattr(LevenbergMarquardt, "step", lambda *_: 1 / 0)
    auto = Loop(steps=STEPS, optimizer=torch.optim.RMSprop).run(110)
    assert not auto.opt.in_stage
    again = Loop(steps=STEPS, optimizer=torch.optim.RMSprop)
    again.opt.load_state_dict(auto.opt.state_dict())
    assert again.opt.control.residual_steps == auto.opt.control.residual_steps == [1]


def test_the_own_optimizer_is_not_held_up_by_single_steps_or_by_the_profile():
    pace = StagePace(1.0, debt=50.0)
    pace.forgive(0)
    for _ in range(100):
        pace.call()
        if pace.due_first():
            pace.took_first(None)
    assert pace.firsts == 100
    pace = StagePace(1.0)
    for call in range(100):
        pace.call()
        if pace.due_first():
            pace.took_first(40.0 if call == 50 else 1.0)
    assert pace.firsts == 100
    assert StagePace(1.0, debt=50.0).affordable(200) == 150.0
