"""``auto`` that goes on with steps on residuals, where these can be read."""

from __future__ import annotations

import warnings

import pytest
import torch

from conflictopt import LevenbergMarquardt, MethodError, MultiLossOptimizer, Thresholds
from conflictopt.integrations.deepxde import patch, residual_training
from conflictopt.optim.compatibility import reads_residuals
from conflictopt.selection import curvature_case
from conflictopt.selection.plan_template import PlanTemplate

pytestmark = pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
PROFILE = {"profile_steps": 60, "profile_every": 1, "curvature": True}


@pytest.fixture(autouse=True)
def few_iterations(monkeypatch):
    """As many are enough."""
    monkeypatch.setattr(curvature_case, "LEAST_ITERATIONS", 10)


def trained(model, iterations=160, compiled=None, **options):
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


def test_the_profile_is_the_plain_run_and_then_losses_fall(heat, monkeypatch):
    monkeypatch.setattr(residual_training, "iteration_seconds", lambda *_: 1.0)  # ample time
    plain, model, seen = heat(), heat(), []
    plain.compile("adam", lr=1e-2, verbose=0)
    plain.train(iterations=60, verbose=0)
    made = patch(model, "auto", **PROFILE)
    made.on_diagnosis.append(lambda _: seen.extend(parameters(model)))
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=160, verbose=0)
    assert all(map(torch.equal, seen, parameters(plain)))
    assert made.trained_with == [(0, "Sum"), (60, "LevenbergMarquardt")]
    assert made.plan.curvature
    assert "can be read" in str(made.decisions[0])
    assert isinstance(made.optimizer.inner, LevenbergMarquardt)
    assert made.steps == 160
    plain.train(iterations=100, verbose=0)
    history = (m.losshistory.loss_train[-1].sum() for m in (model, plain))
    assert next(history) < 0.1 * next(history)


def test_it_ends_when_the_time_of_the_iterations_is_over(heat):
    made = trained(heat())
    assert 60 < made.steps < 160
    assert any("100 iterations of adam are left, which would take" in line for line in made.log)


def test_imbalance_has_the_weights_of_the_ntk_unless_there_are_own(heat):
    imbalanced = Thresholds(persistent_cosine=-1.0, magnitude_ratio=1.0)
    made = trained(heat(), thresholds=imbalanced)
    assert made.plan.kind == "curvature + reweighting"
    assert made.trained_with[-1] == (60, "LevenbergMarquardt -> NTK")
    weighted = trained(heat(), thresholds=imbalanced, compiled={"loss_weights": [1, 10, 10]})
    assert weighted.plan.kind == "curvature"


@pytest.mark.parametrize(
    ("build", "options", "compiled"),
    [
        ({}, {"reweighting": "ntk"}, {}),
        ({}, {"update": "check"}, {}),
        ({"regularization": ["l2", 1e-4]}, {}, {}),
        ({"regularization": ["l1", 1e-4]}, {}, {}),
        ({}, {}, {"loss": "MAE"}),
    ],
)
def test_where_they_cannot_be_taken_the_plan_is_the_rules(heat, build, options, compiled):
    made = trained(heat(**build), 70, compiled, **options)
    assert made.plan_applied
    assert not made.plan.curvature
    assert not reads_residuals(made.optimizer.inner)
    assert made.steps == 70


def test_it_has_to_be_asked_for(heat):
    assert not trained(heat(), curvature=False).plan.curvature


def test_an_expression_asks_for_it_too(heat):
    model = heat()
    made = patch(model, "auto:curvature=True", profile_steps=60, profile_every=1)
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=160, verbose=0)
    assert made.plan.curvature


@pytest.mark.parametrize("method", ["ntk", "auto"])
def test_it_is_refused_where_it_has_no_meaning(heat, method):
    with pytest.raises(MethodError, match="curvature"):
        patch(heat(), method, curvature=True if method == "ntk" else 1)


def test_too_few_iterations_are_left_to_the_rule(heat, monkeypatch):
    monkeypatch.setattr(curvature_case, "LEAST_ITERATIONS", 101)
    assert not trained(heat()).plan.curvature


def test_a_step_that_fails_gives_parameters_and_optimizer_back(heat, monkeypatch):
    def fail(*_):
        raise MethodError("rows are coupled.")

    before, after = [], []
    monkeypatch.setattr(LevenbergMarquardt, "step", fail)
    model = heat()
    made = patch(model, "auto", **PROFILE)
    made.on_diagnosis.append(lambda _: before.extend(parameters(model)))
    made.on_step.append(
        lambda _: (
            after.extend(parameters(model)) if len(made.decisions) == 2 and not after else None
        )
    )
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=160, verbose=0)
    assert all(map(torch.equal, before, after))
    assert not all(map(torch.equal, after, parameters(model)))
    assert isinstance(made.optimizer.inner, torch.optim.Adam)
    assert any(
        "no further steps on residuals: MethodError: rows are coupled." in x for x in made.log
    )
    assert [d.plan.curvature for d in made.decisions] == [True, False]
    assert not made.plan.curvature


def test_it_gives_way_to_what_is_not_finite_or_leads_nowhere(heat, monkeypatch):
    monkeypatch.setattr(residual_training, "iteration_seconds", lambda *_: 1.0)
    model = heat()
    made = patch(model, "auto", on_nonfinite="skip", **PROFILE)
    model.compile("adam", lr=1e-2, verbose=0)
    with monkeypatch.context() as patched:
        broken = lambda *_: (_ for _ in ()).throw(RuntimeError("singular"))  # noqa: E731
        patched.setattr(LevenbergMarquardt, "step", broken)
        model.train(iterations=160, verbose=0)
    assert any("RuntimeError: singular" in line for line in made.log)
    assert isinstance(made.optimizer.inner, torch.optim.Adam)
    stuck = heat()
    made = patch(stuck, "auto", **PROFILE)
    stuck.compile("adam", lr=1e-2, verbose=0)
    monkeypatch.setattr(LevenbergMarquardt, "stuck", property(lambda self: self.last is not None))
    stuck.train(iterations=160, verbose=0)
    assert any("they lead nowhere" in line for line in made.log)
    assert isinstance(made.optimizer.inner, torch.optim.Adam)
    assert made.steps == 160
    assert made.trained_with[1][1] == "LevenbergMarquardt"
    assert len(made.trained_with) == 3


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
    assert isinstance(made.optimizer.inner, LevenbergMarquardt)
    model.restore(path, verbose=0)
    assert isinstance(made.optimizer.inner, torch.optim.Adam)
    assert not made.controller.decided
    model.train(iterations=140, verbose=0)
    assert made.plan.curvature


def test_a_checkpoint_by_path_has_the_time_of_the_iterations(heat, tmp_path):
    (_, made, path), (other, again) = saved(heat, tmp_path), fresh(heat)
    other.train(iterations=100, model_restore_path=path, verbose=0)
    assert made.steps < again.steps < made.steps + 100


def test_what_is_compiled_later_may_end_it(heat):
    model = heat()
    made = trained(model)
    chosen = torch.optim.AdamW(model.net.parameters(), lr=1e-3, weight_decay=1e-2)
    model.compile(chosen, verbose=0)
    model.train(iterations=20, verbose=0)
    assert not reads_residuals(made.optimizer.inner)
    assert any("no further steps on residuals" in line for line in made.log)


def test_the_log_says_why_there_are_none(heat):
    made = trained(heat(regularization=["l2", 1e-4]))
    assert any("no steps on residuals, as Adam decays weights" in x for x in made.log)
    made = trained(heat(), reweighting="ntk")
    assert any("a reweighting, adapters or a rule was asked for" in x for x in made.log)


def test_such_a_plan_is_of_hosts_alone(heat):
    plan = trained(heat()).plan
    with pytest.raises(MethodError, match="found 'curvature'"):
        plan.apply(MultiLossOptimizer(torch.optim.Adam([torch.nn.Parameter(torch.ones(1))]), "sum"))
    with pytest.raises(MethodError, match="found 'curvature'"):
        PlanTemplate("curvature")


def test_later_calls_have_the_time_of_their_iterations(heat, lbfgs):
    model = heat()
    made = trained(model)
    steps = made.steps
    model.train(iterations=50, verbose=0)
    assert steps < made.steps < steps + 50
    steps = made.steps
    lbfgs(iterations=40, per_step=20)
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    assert isinstance(made.optimizer.inner, LevenbergMarquardt)
    assert made.steps > steps


def test_it_goes_on_from_deepxdes_own_checkpoint(heat, tmp_path):
    (model, made, path), (other, again) = saved(heat, tmp_path), fresh(heat)
    other.restore(path, verbose=0)
    assert isinstance(again.optimizer.inner, LevenbergMarquardt)
    assert all(map(torch.equal, parameters(model), parameters(other)))
    assert (again.steps, again.plan) == (made.steps, made.plan)
    assert again.optimizer.inner.state_dict().keys() == made.optimizer.inner.state_dict().keys()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.train(iterations=30, verbose=0)
    assert again.steps > made.steps


def test_unknowns_are_trained_and_measurements_found(inverse):
    model = inverse()
    made = patch(model, "auto", **PROFILE)
    model.compile("adam", lr=1e-2, external_trainable_variables=model.unknown, verbose=0)
    model.train(iterations=200, verbose=0)
    assert made.plan.curvature
    assert made.optimizer.inner.options.measured
    assert abs(model.unknown.item() - 0.8) > 1e-3
