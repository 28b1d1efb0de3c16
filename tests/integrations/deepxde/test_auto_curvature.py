"""``auto`` that goes on with steps on residuals, where these can be read."""

from __future__ import annotations

import warnings

import pytest
import torch

from conflictopt import LevenbergMarquardt, MethodError, MultiLossOptimizer, Thresholds
from conflictopt.auto import residual_part
from conflictopt.auto import stage as stage_module
from conflictopt.auto.stage_pace import StagePace
from conflictopt.integrations.deepxde import patch
from conflictopt.selection import curvature_case
from conflictopt.selection.plan_template import PlanTemplate

pytestmark = pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
PROFILE = {"profile_steps": 100, "profile_every": 2}


@pytest.fixture(autouse=True)
def few_iterations(monkeypatch):
    """As many are enough."""
    monkeypatch.setattr(curvature_case, "LEAST_ITERATIONS", 1)
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 0)
    monkeypatch.setattr(stage_module, "LEAST_OF_SOAP", -(10**9))


@pytest.fixture
def ample(monkeypatch):
    """There is a step on residuals in every call."""
    due = property(lambda self: len(self.taken) + self.firsts < self.calls)
    monkeypatch.setattr(StagePace, "due", due)
    monkeypatch.setattr(StagePace, "due_first", lambda self: self.due)


def trained(model, iterations=400, compiled=None, **options):
    made = patch(model, "auto", **{**PROFILE, **options})
    model.compile("adam", **{"lr": 1e-2, "verbose": 0, **(compiled or {})})
    model.train(iterations=iterations, verbose=0)
    return made


def saved(heat, folder):
    """A model in the stage, its patch and its checkpoint."""
    model = heat()
    made = trained(model)
    return model, made, model.save(str(folder / "model"), verbose=0)


def fresh(heat):
    """Another one that is yet to train, and its patch."""
    model = heat()
    made = patch(model, "auto", **PROFILE)
    model.compile("adam", lr=1e-2, verbose=0)
    return model, made


def parameters(model):
    return [p.detach().clone() for p in model.net.parameters()]


def told(made, text):
    return any(text in line for line in made.log)


def test_the_profile_is_the_plain_run_and_then_losses_fall(heat, ample):
    plain, model, seen = heat(), heat(), []
    plain.compile("adam", lr=1e-2, verbose=0)
    plain.train(iterations=100, verbose=0)
    made = patch(model, "auto", **PROFILE)
    made.on_diagnosis.append(lambda _: seen.extend(parameters(model)))
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=140, verbose=0)
    assert all(map(torch.equal, seen, parameters(plain)))
    assert made.trained_with == [(0, "Sum"), (100, "LevenbergMarquardt")]
    assert made.plan.curvature
    assert "can be read" in str(made.decisions[0])
    assert made.optimizer.in_stage
    assert made.steps == 140
    plain.train(iterations=40, verbose=0)
    history = (m.losshistory.loss_train[-1].sum() for m in (model, plain))
    assert next(history) < 0.1 * next(history)


def test_it_takes_as_long_as_the_iterations_that_are_left(heat):
    made = trained(heat(), 600)
    pace = made.controller.stage.pace
    assert made.steps == 600
    assert pace.calls == 500
    assert 0 < len(pace.taken) < 250
    assert pace.spent < 1.5 * pace.calls * pace.seconds
    assert told(made, "500 plain ones would have taken")


def test_displays_callbacks_and_schedules_are_those_of_the_script(heat):
    import deepxde as dde

    class Counted(dde.callbacks.Callback):
        ends = 0

        def on_batch_end(self):
            self.ends += 1

    def history(model, method):
        if method is not None:
            patch(model, method, **PROFILE)
        counted = Counted()
        model.compile("adam", lr=1e-2, decay=("step", 100, 0.5), verbose=0)
        model.train(iterations=400, display_every=50, callbacks=[counted], verbose=0)
        rate = model.opt.param_groups[0]["lr"]
        return model.losshistory.steps, counted.ends, rate, model.train_state.step

    assert history(heat(), "auto") == history(heat(), None)


def test_imbalance_has_the_weights_of_the_ntk_unless_there_are_own(heat):
    imbalanced = Thresholds(persistent_cosine=-1.0, magnitude_ratio=1.0)
    made = trained(heat(), thresholds=imbalanced)
    assert made.plan.kind == "curvature + reweighting"
    assert made.trained_with[-1] == (100, "LevenbergMarquardt -> NTK")
    weighted = trained(heat(), thresholds=imbalanced, compiled={"loss_weights": [1, 10, 10]})
    assert weighted.plan.kind == "curvature"


@pytest.mark.parametrize(
    ("build", "options", "compiled"),
    [
        ({}, {"reweighting": "ntk"}, {}),
        ({}, {"update": "check"}, {}),
        ({}, {"curvature": False}, {}),
        ({}, {"profile_every": 1}, {}),
        ({"regularization": ["l2", 1e-4]}, {}, {}),
        ({"regularization": ["l1", 1e-4]}, {}, {}),
        ({}, {}, {"loss": "MAE"}),
    ],
)
def test_where_they_cannot_be_taken_the_plan_is_the_rules(heat, build, options, compiled):
    made = trained(heat(**build), 110, compiled, **options)
    assert made.plan_applied
    assert not made.plan.curvature
    assert not made.optimizer.in_stage
    assert made.steps == 110


def test_an_expression_refuses_it_too(heat):
    model = heat()
    made = patch(model, "auto:curvature=False", **PROFILE)
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=110, verbose=0)
    assert not made.plan.curvature


@pytest.mark.parametrize(
    ("method", "value"), [("ntk", False), ("auto", 1), ("auto:curvature=2", True)]
)
def test_it_is_refused_where_it_has_no_meaning(heat, method, value):
    with pytest.raises(MethodError, match="curvature"):
        patch(heat(), method, curvature=value)


def test_too_few_iterations_are_left_to_the_rule(heat, monkeypatch):
    monkeypatch.setattr(curvature_case, "LEAST_ITERATIONS", 301)
    assert not trained(heat()).plan.curvature


@pytest.fixture(params=["adam", "rmsprop"])
def own(request):
    """Optimizers: one whose place SOAP can take, and one that the rule's plan goes on with."""
    return request.param


def _gives_back(heat, own):
    """A run whose steps on residuals were undone, and that went on from where they began."""
    before, after = [], []
    model = heat()
    made = patch(model, "auto", **PROFILE)
    made.on_diagnosis.append(lambda _: before.extend(parameters(model)))
    made.on_step.append(
        lambda _: (
            after.extend(parameters(model)) if len(made.trained_with) == 3 and not after else None
        )
    )
    model.compile(own, lr=1e-2, verbose=0)
    model.train(iterations=400, verbose=0)
    assert all(map(torch.equal, before, after))
    assert not all(map(torch.equal, after, parameters(model)))
    assert made.steps == 400
    if own == "adam":
        assert made.trained_with[-1][1].startswith("SOAP")
    else:
        assert not made.optimizer.in_stage
        assert [d.plan.curvature for d in made.decisions] == [True, False]
        assert not made.plan.curvature
    return made


def test_a_step_that_fails_gives_parameters_and_optimizer_back(heat, monkeypatch, own):
    def fail(*_):
        raise MethodError("rows are coupled.")

    monkeypatch.setattr(LevenbergMarquardt, "step", fail)
    assert told(_gives_back(heat, own), "no steps on residuals: MethodError: rows are coupled.")


def test_so_does_a_stage_in_whose_time_few_steps_fit(heat, monkeypatch, ample, own):
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 10**9)
    assert told(_gives_back(heat, own), "fit into the time that is left, 1000000000 would do")


def test_so_does_one_that_leads_nowhere(heat, monkeypatch, ample, own):
    monkeypatch.setattr(residual_part, "_IMPROVED", 0.0)
    monkeypatch.setattr(LevenbergMarquardt, "stuck", property(lambda self: self.last is not None))
    assert told(_gives_back(heat, own), "steps have led nowhere for long")


def test_what_helped_stays_when_no_step_helps_any_more(heat, monkeypatch, ample):
    monkeypatch.setattr(LevenbergMarquardt, "converged", property(lambda s: s.last.after < 1e-3))
    model = heat()
    made = trained(model)
    assert told(made, "no steps on residuals for now: the residuals are rounding errors")
    assert made.plan.curvature
    pace = made.controller.stage.pace
    assert pace.calls == 300
    assert len(pace.taken) < 300


def test_the_end_of_a_call_has_what_did_best_on_fresh_rows(heat, monkeypatch, ample):
    calls = []
    monkeypatch.setattr(
        LevenbergMarquardt, "load_best", lambda self, closure: calls.append(len(calls))
    )
    model = heat()
    trained(model, 110)
    assert calls == [0]
    model.train(iterations=5, verbose=0)
    assert calls == [0, 1]


@pytest.mark.parametrize("older", ["profile", "plain"])
def test_a_checkpoint_of_before_ends_it(heat, tmp_path, older):
    other = heat()
    if older == "profile":
        patch(other, "auto", **PROFILE)
    other.compile("adam", lr=1e-2, verbose=0)
    other.train(iterations=20, verbose=0)
    path = other.save(str(tmp_path / "model"), verbose=0)
    model = heat()
    made = trained(model)
    assert made.optimizer.in_stage
    model.restore(path, verbose=0)
    assert not made.optimizer.in_stage
    assert not made.controller.decided
    model.train(iterations=300, verbose=0)
    assert made.plan.curvature


@pytest.mark.parametrize("by_path", [False, True])
def test_a_checkpoint_goes_on_bitwise(heat, tmp_path, ample, by_path):
    model = heat()
    made = trained(model, 110)
    path = model.save(str(tmp_path / "model"), verbose=0)
    model.train(iterations=10, verbose=0)
    other, again = fresh(heat)
    if not by_path:
        other.restore(path, verbose=0)
        assert again.steps == 110
        assert again.plan == made.plan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.train(iterations=10, model_restore_path=path if by_path else None, verbose=0)
    assert again.optimizer.in_stage
    assert all(map(torch.equal, parameters(model), parameters(other)))
    assert again.steps == made.steps == 120
    assert again.controller.stage.pace.taken == made.controller.stage.pace.taken


def test_what_is_compiled_later_may_end_it(heat):
    model = heat()
    made = trained(model)
    chosen = torch.optim.AdamW(model.net.parameters(), lr=1e-3, weight_decay=1e-2)
    model.compile(chosen, verbose=0)
    model.train(iterations=20, verbose=0)
    assert not made.optimizer.in_stage
    assert told(made, "no steps on residuals: AdamW decays weights")


def test_the_log_says_why_there_are_none(heat):
    made = trained(heat(regularization=["l2", 1e-4]))
    assert told(made, "no steps on residuals, as the network is regularised")
    made = trained(heat(), reweighting="ntk")
    assert told(made, "a reweighting, adapters or a rule was asked for")


def test_such_a_plan_is_of_runs_alone(heat):
    plan = trained(heat()).plan
    with pytest.raises(MethodError, match="found 'curvature'"):
        plan.apply(MultiLossOptimizer(torch.optim.Adam([torch.nn.Parameter(torch.ones(1))]), "sum"))
    with pytest.raises(MethodError, match="found 'curvature'"):
        PlanTemplate("curvature")


def test_it_goes_on_in_later_calls_and_lbfgs_has_its_place_between(heat, lbfgs, ample):
    model = heat()
    made = trained(model, 110)
    pace = made.controller.stage.pace
    steps = len(pace.taken)
    model.train(iterations=10, verbose=0)
    assert len(pace.taken) > steps
    steps = len(pace.taken)
    lbfgs(iterations=40, per_step=20)
    model.compile("L-BFGS", verbose=0)
    before = parameters(model)
    model.train(verbose=0)
    assert isinstance(made.optimizer.inner, torch.optim.LBFGS)
    assert not made.optimizer.in_stage
    assert len(pace.taken) == steps
    assert not all(map(torch.equal, before, parameters(model)))
    model.compile("adam", lr=1e-3, verbose=0)
    assert made.optimizer.in_stage
    model.train(iterations=10, verbose=0)
    assert len(pace.taken) > steps


def test_unknowns_are_trained_and_measurements_found(inverse):
    model = inverse()
    made = patch(model, "auto", **PROFILE)
    model.compile("adam", lr=1e-2, external_trainable_variables=model.unknown, verbose=0)
    model.train(iterations=400, verbose=0)
    assert made.plan.curvature
    assert made.controller.stage.part.measurements.names
    assert abs(model.unknown.item() - 0.8) > 1e-3


def test_a_callback_that_ends_a_call_leaves_what_did_best(heat, monkeypatch, ample):
    import deepxde as dde

    class Stops(dde.callbacks.Callback):
        def on_batch_end(self):
            self.model.stop_training = self.model.conflictopt.steps >= 105

    calls = []
    monkeypatch.setattr(LevenbergMarquardt, "load_best", lambda self, closure: calls.append(1))
    model = heat()
    made = patch(model, "auto", **PROFILE)
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=400, callbacks=[Stops()], verbose=0)
    assert made.steps == 105
    assert calls == [1]


@pytest.mark.parametrize("change", ["anchors", "rate", "resampled", "restored"])
def test_a_compile_that_changes_nothing_in_kind_goes_on(heat, ample, tmp_path, change):
    import numpy as np

    model = heat()
    made = trained(model, 105)
    if change == "anchors":
        model.data.add_anchors(np.array([[0.5, 0.5], [0.1, 0.2]]))
    if change == "resampled":
        model.data.resample_train_points()
    if change == "restored":
        model.restore(model.save(str(tmp_path / "model"), verbose=0), verbose=0)
    model.compile("adam", lr=1e-3, verbose=0)
    assert made.optimizer.in_stage
    taken = len(made.controller.stage.pace.taken)
    model.train(iterations=5, verbose=0)
    assert made.optimizer.in_stage
    assert len(made.controller.stage.pace.taken) == taken + 5


def test_losses_whose_residuals_are_gone_go_on_without_them(heat, ample, own):
    model = heat()
    made = trained(model, 105)
    model.compile(own, lr=1e-3, loss="MAE", verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(iterations=5, verbose=0)
    assert made.steps == 110
    if own == "adam":
        assert made.trained_with[-1][1] == "SOAP"
    else:
        assert not made.optimizer.in_stage
        assert made.plan.reweighting is None


def test_rests_end_with_the_next_call_of_train(heat, monkeypatch, ample):
    model = heat()
    with monkeypatch.context() as patched:
        patched.setattr(LevenbergMarquardt, "converged", property(lambda s: s.last.after < 1e-3))
        made = trained(model, 150)
    assert made.controller.stage.rest is not None
    taken = len(made.controller.stage.pace.taken)
    model.train(iterations=5, verbose=0)
    assert made.controller.stage.rest is None
    assert len(made.controller.stage.pace.taken) > taken


@pytest.fixture
def soap(monkeypatch, ample):
    """Steps on residuals are too few."""
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 10**9)


@pytest.mark.parametrize("weights", [None, [1, 10, 10]])
def test_first_order_steps_resume_with_the_weights_that_they_had(heat, tmp_path, soap, weights):
    compiled = {"lr": 1e-2, "verbose": 0, "loss_weights": weights}
    model = heat()
    made = patch(model, "auto", **PROFILE)
    model.compile("adam", **compiled)
    model.train(iterations=160, verbose=0)
    took = made.trained_with[-1][1]
    assert took == ("SOAP -> NTK" if weights is None else "SOAP")
    path = model.save(str(tmp_path / "model"), verbose=0)
    other = heat()
    again = patch(other, "auto", **PROFILE)
    other.compile("adam", **compiled)
    other.restore(path, verbose=0)
    for one in (model, other):
        one.train(iterations=20, verbose=0)
    assert all(map(torch.equal, parameters(model), parameters(other)))
    assert again.trained_with == made.trained_with


def test_first_order_steps_go_on_unweighted_where_residuals_are_gone(heat, soap):
    model = heat()
    made = trained(model, 160)
    assert made.trained_with[-1][1] == "SOAP -> NTK"
    before = parameters(model)
    model.compile("adam", lr=1e-3, loss="MAE", verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(iterations=5, verbose=0)
    assert made.trained_with[-1][1] == "SOAP"
    assert not all(map(torch.equal, before, parameters(model)))


def test_weights_of_the_user_take_the_place_of_the_ntk_s(heat, soap):
    model = heat()
    made = trained(model, 160)
    model.compile("adam", lr=1e-3, loss_weights=[1, 10, 10], verbose=0)
    model.train(iterations=5, verbose=0)
    assert made.trained_with[-1][1] == "SOAP"


def test_a_call_that_a_callback_ends_is_over(heat, soap, monkeypatch):
    import deepxde as dde

    class Early(dde.callbacks.Callback):
        def on_batch_end(self):
            if self.model.train_state.step == 150:
                self.model.stop_training = True

    begun, begin = [], stage_module.Stage._begin_call
    monkeypatch.setattr(
        stage_module.Stage, "_begin_call", lambda s, left: (begun.append(left), begin(s, left))
    )
    model = heat()
    patch(model, "auto", **PROFILE)
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=900, callbacks=[Early()], verbose=0)
    model.train(iterations=30, verbose=0)
    assert begun == [799, 29]
