"""``auto``: profile, diagnose, select, attach, go on."""

import dataclasses

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import AdapterDesign, Chain, ConflictOptWarning, MethodError, Thresholds, make
from conflictopt.integrations.deepxde import PatchError, patch
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.rule import Rule

pytestmark = pytest.mark.usefixtures("papers_rule")

SHORT = {"profile_steps": 20, "profile_every": 2}


@pytest.fixture
def auto(conflicting, forced):
    """``auto(regime)``: the conflicting problem, patched such that it gets that regime."""

    def build(regime="persistent", **options):
        model = conflicting()
        patch(model, "auto", thresholds=forced[regime], **{**SHORT, **options})
        return model

    return build


@pytest.mark.parametrize(
    ("regime", "plan", "method"),
    [
        ("benign", "none", make("sum")),
        ("magnitude", "reweighting", make("ntk")),
        ("persistent", "adapters + reweighting", Chain(make("ntk"), make("adapters"))),
    ],
)
def test_the_regime_decides_the_method(auto, adam, regime, plan, method):
    model = auto(regime)
    adam(model, 30)
    made = model.conflictopt
    assert made.diagnosis.regime == regime
    assert made.plan.kind == plan
    assert made.optimizer.aggregator == method
    assert (made.adapters is not None) == (regime == "persistent")
    assert made.steps == 30


def test_the_decision_and_its_numbers_stay_on_the_model(auto, adam):
    model = auto("persistent")
    adam(model, 30)
    made = model.conflictopt
    assert made.profile.names == ("pde", "boundary")
    assert made.profile.steps.tolist() == list(range(0, 20, 2))
    assert made.diagnosis.samples == 10
    assert made.diagnosis.worst_pair.cosine_late < 0
    assert made.log[0].startswith("step 20: persistent, so adapters + reweighting: 'pde' and")
    assert "step 20: no steps on residuals, as 10 iterations are left" in made.log[1]
    assert made.log[2].startswith("step 20: attached adapters,")


def test_nothing_is_decided_before_the_profile_is_complete(auto, adam):
    model = auto("persistent")
    adam(model, 19)
    made = model.conflictopt
    assert made.diagnosis is made.plan is made.profile is made.adapters is None
    model.train(iterations=1, verbose=0)
    assert made.diagnosis is not None


def test_conclude_diagnoses_from_the_samples_there_are(auto, adam):
    model = auto("persistent")
    assert model.conflictopt.conclude() is None
    adam(model, 7)
    assert model.conflictopt.conclude().samples == 4
    assert model.conflictopt.adapters is None


def test_listeners_hear_of_the_diagnosis_once_and_before_the_plan_is_applied(auto, adam):
    model, heard, steps = auto("persistent"), [], []
    model.conflictopt.on_diagnosis.append(
        lambda made: heard.append((made.plan.kind, made.adapters))
    )
    model.conflictopt.on_step.append(lambda made: steps.append(made.steps))
    adam(model, 25)
    assert heard == [("adapters + reweighting", None)]
    assert steps == list(range(1, 26))


def test_the_optimizer_keeps_its_state_over_the_switch(auto, adam):
    model = auto("persistent")
    adam(model, 20)
    optimizer = model.opt
    first = next(model.net.parameters())
    moment = optimizer.state[first]["exp_avg"].clone()
    assert int(optimizer.state[first]["step"]) == 20
    model.train(iterations=1, verbose=0)
    assert model.opt is optimizer
    assert int(optimizer.state[first]["step"]) == 21
    assert moment.abs().sum() > 0


def test_attaching_changes_no_output_and_the_adapters_then_train(auto, adam):
    model = auto("persistent")
    points = np.random.default_rng(0).uniform(0, 1, (5, 2))
    seen = []
    hook = lambda made: seen.append(model.predict(points))  # noqa: E731
    model.conflictopt.on_diagnosis.append(hook)
    adam(model, 20)
    assert np.array_equal(seen[0], model.predict(points))
    assert all((u == 0).all() for u in model.conflictopt.adapters.up)
    model.train(iterations=5, verbose=0)
    assert all((u != 0).any() for u in model.conflictopt.adapters.up)


def test_adapters_follow_the_learning_rate_of_the_network(auto, adam):
    model = auto("persistent")
    adam(model, 25, decay=("step", 5, 0.5))
    groups = model.opt.param_groups
    assert len(groups) == 1
    held = {id(p) for p in groups[0]["params"]}
    assert all(id(p) in held for p in model.conflictopt.adapters.parameters())


def test_train_zero_does_not_start_the_profile(auto, adam):
    model = auto("persistent")
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(0, verbose=0)
    assert model.conflictopt.steps == 0
    adam(model, 20)
    assert model.conflictopt.profile.steps[0] == 0


def test_train_zero_changes_nothing_later(conflicting, assert_unchanged):
    def train(model):
        model.compile("adam", lr=1e-2, verbose=0)
        model.train(0, verbose=0)
        model.train(iterations=10, verbose=0)

    assert_unchanged(conflicting, train, "auto")


def test_training_in_stages_is_one_profile(auto, adam, same):
    once, staged = auto("magnitude"), auto("magnitude")
    adam(once, 30)
    staged.compile("adam", lr=1e-2, verbose=0)
    for iterations in (7, 8, 15):
        staged.train(iterations=iterations, display_every=1000, verbose=0)
    assert staged.conflictopt.profile.steps.tolist() == once.conflictopt.profile.steps.tolist()
    ends = zip(once.net.parameters(), staged.net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in ends)


def test_each_model_of_a_loop_has_its_own_profile(auto, adam, same):
    models = [auto("magnitude") for _ in range(3)]
    for model in models:
        adam(model, 25)
    assert len({id(m.conflictopt.profile) for m in models}) == 3
    assert same(models[0], models[1])
    assert same(models[0], models[2])


def test_auto_on_a_single_loss_does_nothing(assert_unchanged):
    def build():
        dde.config.set_random_seed(0)
        x = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
        data = dde.data.DataSet(X_train=x, y_train=x, X_test=x, y_test=x)
        return dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))

    def train(model):
        def absolute(target, prediction):
            return (target - prediction).abs().mean()

        model.compile("adam", lr=1e-2, loss=absolute, verbose=0)
        model.train(iterations=30, verbose=0)

    patched = assert_unchanged(build, train, "auto", **SHORT)
    assert patched.conflictopt.plan.kind == "none"
    assert "only one loss" in patched.conflictopt.plan.reason


def test_reweighting_and_routing_of_the_plan_can_be_chosen(auto, adam):
    design = AdapterDesign(routing="exclusive", rank=2)
    model = auto("persistent", reweighting="grad_norm", adapters=design)
    adam(model, 30)
    made = model.conflictopt
    assert made.optimizer.aggregator == Chain(
        make("grad_norm"), make("adapters", routing="exclusive")
    )
    assert made.plan.reweighting == "grad_norm"
    assert made.adapters.design.rank == 2


@pytest.mark.parametrize("regime", ["benign", "magnitude", "persistent"])
def test_the_method_goes_on_after_a_recompile_to_lbfgs(auto, adam, lbfgs, regime):
    lbfgs(iterations=10, per_step=5)
    model = auto(regime)
    adam(model, 25)
    made, method = model.conflictopt, model.conflictopt.optimizer.aggregator
    profile, before = made.profile, float(model.losshistory.loss_train[-1].sum())
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    assert made.optimizer.aggregator == method
    assert made.profile is profile
    assert isinstance(made.optimizer.inner, torch.optim.LBFGS)
    assert float(model.losshistory.loss_train[-1].sum()) < before


def test_a_network_that_no_adapters_go_with_gets_the_rest_of_the_plan(conflicting, adam):
    usual = Rule.default()
    template = PlanTemplate("adapters + reweighting", "ntk", {"placement": "weights"})
    rule = dataclasses.replace(usual, plans=dict.fromkeys(usual.plans, template), evidence={})
    model = conflicting()
    model.net = dde.nn.FNN([2, 8, 1], "tanh", "Glorot normal")
    patch(model, "auto", rule=rule, profile_steps=60, profile_every=1)
    with pytest.warns(ConflictOptWarning, match="no adapters go with this network"):
        adam(model, 70)
    made = model.conflictopt
    assert made.adapters is None
    assert (made.plan.kind, made.optimizer.aggregator) == ("reweighting", make("ntk"))
    assert any("between two hidden layers" in line for line in made.log)


@pytest.fixture
def surgical(inverse, adam, tmp_path):
    """An inverse problem under a rule whose every plan is adapters, ntk and pcgrad."""
    usual = Rule.default()
    template = PlanTemplate("adapters + reweighting + surgery", "ntk", surgery="pcgrad")
    plans = dict.fromkeys(usual.plans, template)
    rule = dataclasses.replace(usual, plans=plans, evidence={})

    def build():
        model = inverse()
        patch(model, "auto", rule=rule, profile_steps=60, profile_every=1)
        return model

    return build


def test_surgery_rests_under_lbfgs_and_weights_go_on(surgical, adam, lbfgs):
    lbfgs(iterations=10, per_step=5)
    model = surgical()
    adam(model, 70, external_trainable_variables=model.unknown)
    made, session = model.conflictopt, model.conflictopt.optimizer.session
    whole = Chain(make("ntk"), make("pcgrad"), make("adapters"))
    assert made.optimizer.aggregator == whole
    weights = {k: v for k, v in session.state.items() if k.startswith("0.")}
    model.compile("L-BFGS", external_trainable_variables=model.unknown, verbose=0)
    assert made.optimizer.aggregator == Chain(make("ntk"), make("adapters"))
    assert weights.keys() <= session.state.keys()
    assert all(session.state[k] is v for k, v in weights.items())
    assert "as LBFGS trains now" in made.log[-1]
    model.train(verbose=0)
    adam(model, 5, external_trainable_variables=model.unknown)
    assert made.optimizer.aggregator == whole
    assert [label for _, label in made.trained_with][-3:] == [
        "NTK, PCGrad, Adapters",
        "NTK, Adapters",
        "NTK, PCGrad, Adapters",
    ] or len(made.trained_with) == 4


def test_a_plan_with_surgery_is_restored_from_a_checkpoint(surgical, adam, tmp_path):
    model = surgical()
    adam(model, 70, external_trainable_variables=model.unknown)
    path = model.save(str(tmp_path / "model"), verbose=0)
    other = surgical()
    other.compile("adam", lr=1e-2, external_trainable_variables=other.unknown, verbose=0)
    other.restore(path, verbose=0)
    assert str(other.conflictopt.plan) == str(model.conflictopt.plan)
    assert other.conflictopt.optimizer.aggregator == model.conflictopt.optimizer.aggregator


def test_a_profile_across_a_recompile_is_completed(auto, adam):
    model = auto("persistent")
    adam(model, 10)
    adam(model, 10, lr=1e-3)
    assert model.conflictopt.profile.steps.tolist() == list(range(0, 20, 2))


def test_a_profile_under_lbfgs_leads_to_a_plan_under_lbfgs(auto, lbfgs):
    lbfgs(iterations=60, per_step=5)
    dde.optimizers.LBFGS_options["gtol"] = 0
    model = auto("persistent", profile_steps=4, profile_every=1)
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    made = model.conflictopt
    assert made.plan.kind == "adapters + reweighting"
    assert made.steps > 4
    assert all((u != 0).any() for u in made.adapters.up)
    losses = np.sum(model.losshistory.loss_train, axis=1)
    assert losses[-1] <= losses[0]


def test_a_rule_of_ones_own_decides(conflicting, adam, tmp_path):
    usual = Rule.default()
    template = PlanTemplate("reweighting", "softadapt")
    plans = dict.fromkeys(usual.plans, template)
    path = dataclasses.replace(usual, plans=plans, evidence={}).save(tmp_path / "rule.json")
    model = conflicting()
    patch(model, "auto", rule=path, profile_steps=60, profile_every=1)
    adam(model, 70)
    assert model.conflictopt.optimizer.aggregator == make("softadapt")


def test_a_rule_beside_thresholds_is_refused(conflicting):
    with pytest.raises(MethodError, match="a rule or thresholds, found both"):
        patch(conflicting(), "auto", rule=Rule.default(), thresholds=Thresholds())


def _absolute(residual, target):
    return (residual - target).abs().mean()


@pytest.mark.parametrize("method", ["auto", "sum"])
def test_losses_that_are_no_mean_squares_get_a_plan_that_reads_no_residuals(heat, adam, method):
    model = heat()
    patch(model, method, profile_steps=60, profile_every=1, record=True)
    adam(model, 70, loss=_absolute)
    made = model.conflictopt
    assert made.steps == 70
    assert made.conclude() is made.diagnosis is not None
    assert (made.plan.reweighting, made.plan.surgery) in ((None, "pcgrad"), (None, None))
    told = "plans have surgery alone in place of a reweighting that reads residuals, since: "
    assert any(told in line for line in made.log)


def test_a_reweighting_that_the_user_chose_is_not_replaced(heat, adam):
    model = heat()
    patch(model, "auto", reweighting="ntk", **SHORT)
    with pytest.raises(PatchError, match="mean-square losses"):
        adam(model, 5, loss=_absolute)


def test_weights_of_the_users_own_stay(conflicting, forced, adam):
    model = conflicting()
    made = patch(model, "auto", thresholds=forced["persistent"], **SHORT)
    adam(model, 30, loss_weights=[1.0, 100.0])
    assert (made.plan.kind, made.optimizer.aggregator) == ("none", make("sum"))
    assert "weights of the user's own" in made.plan.reason


def test_a_plan_without_residuals_goes_on_after_a_checkpoint(conflicting, forced, adam, tmp_path):
    def patched():
        model = conflicting()
        patch(model, "auto", thresholds=forced["persistent"], **SHORT)
        return model

    first = patched()
    adam(first, 30, loss=_absolute)
    assert first.conflictopt.plan.surgery == "pcgrad"
    path = first.save(str(tmp_path / "model"), verbose=0)
    second = patched()
    second.compile("adam", lr=1e-2, loss=_absolute, verbose=0)
    second.restore(path, verbose=0)
    made = second.conflictopt
    assert (made.plan.kind, made.plan_applied) == (first.conflictopt.plan.kind, True)
    assert made.optimizer.aggregator == first.conflictopt.optimizer.aggregator
