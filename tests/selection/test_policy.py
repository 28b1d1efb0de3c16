"""A policy: whose rule, thresholds, reweighting and design a run follows."""

import dataclasses

import pytest
import torch

from conflictopt import AdapterDesign, Chain, MethodError, Thresholds, make
from conflictopt.diagnosis.profile import Profile
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.policy import Policy
from conflictopt.selection.rule import Rule


@pytest.fixture
def opposed():
    """A profile of two opposed gradients."""
    g = torch.tensor([[1.0, -0.9], [-0.9, 1.0]], dtype=torch.float64).numpy()
    gramians = torch.tensor(g).expand(100, 2, 2).numpy().copy()
    steps = torch.arange(100).numpy()
    return Profile(("pde", "bc"), steps, torch.ones(100, 2).double().numpy(), gramians)


@pytest.fixture
def rule():
    """A rule with a design and a reweighting of its own."""
    template = PlanTemplate("adapters + reweighting", "softadapt", {"rank": 2, "scale": "sum"})
    usual = Rule.default()
    return dataclasses.replace(
        usual,
        thresholds=dataclasses.replace(usual.thresholds, persistent_cosine=-0.5),
        plans={**usual.plans, "persistent": template},
        evidence={},
    )


def routed(name, **options):
    return Chain(make(name), make("adapters", **options))


def test_the_rule_decides(opposed, rule):
    policy = Policy(rule=rule)
    diagnosis = policy.diagnose(opposed)
    assert diagnosis.thresholds == rule.thresholds
    plan = policy.select(diagnosis)
    assert (plan.kind, plan.reweighting) == ("adapters + reweighting", "softadapt")
    assert plan.design == {"rank": 2, "scale": "sum"}
    assert policy.method(plan) == routed("softadapt")


def with_surgery(rule, kind="adapters + reweighting + surgery", surgery="pcgrad"):
    balance = "softadapt" if "reweighting" in kind else None
    template = PlanTemplate(kind, balance, surgery=surgery)
    return dataclasses.replace(rule, plans={**rule.plans, "persistent": template})


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("surgery", make("pcgrad")),
        ("reweighting + surgery", Chain(make("softadapt"), make("pcgrad"))),
        ("adapters + surgery", Chain(make("pcgrad"), make("adapters"))),
        (
            "adapters + reweighting + surgery",
            Chain(make("softadapt"), make("pcgrad"), make("adapters")),
        ),
    ],
)
def test_a_plan_may_have_surgery(opposed, rule, kind, method, tmp_path):
    saved = Rule.load(with_surgery(rule, kind).save(tmp_path / "rule.json"))
    policy = Policy(rule=saved)
    plan = policy.select(policy.diagnose(opposed))
    assert (plan.kind, plan.surgery, plan.adapters) == (kind, "pcgrad", "adapters" in kind)
    assert policy.method(plan) == method
    assert next(policy.plans("")) == dataclasses.replace(plan, reason="")
    assert "pcgrad" in str(plan)


def test_surgery_rests_while_an_optimizer_searches_lines(opposed, rule):
    policy = Policy(rule=with_surgery(rule))
    plan = policy.select(policy.diagnose(opposed))
    assert policy.method(plan, searching=True) == routed("softadapt")
    alone = Policy(rule=with_surgery(rule, "surgery"))
    assert alone.method(alone.select(alone.diagnose(opposed)), searching=True) == make("sum")


@pytest.mark.parametrize(
    ("surgery", "message"),
    [
        ("ntk", r"surgery method, found 'ntk' \(reweighting\)"),
        ("m_config", "begin in mid-run, found 'm_config'"),
        ("graddrop", "adapters can route, found 'graddrop'"),
        (None, "surgery None"),
    ],
)
def test_a_surgery_that_no_plan_can_have_is_refused(rule, surgery, message):
    with pytest.raises(MethodError, match=message):
        with_surgery(rule, surgery=surgery)


def test_what_the_user_chose_wins(opposed, rule):
    policy = Policy("dwa", AdapterDesign(routing="exclusive"), rule)
    plan = policy.select(policy.diagnose(opposed))
    assert policy.method(plan) == routed("dwa", routing="exclusive")
    given = make("softadapt", beta=0.5)
    assert Policy(given, rule=rule).method(plan).members[0] is given


@pytest.mark.parametrize(
    "asked",
    [Policy("dwa"), Policy(make("softadapt")), Policy(design=AdapterDesign())],
    ids=["name", "object", "adapters"],
)
def test_weights_of_the_users_own_stay_unless_asked_otherwise(opposed, rule, asked):
    for policy in (Policy(), Policy().without_residuals()):
        diagnosis = policy.diagnose(opposed)
        usual = policy.select(diagnosis)
        assert usual.kind != "none"
        kept = policy.select(diagnosis, weighted=True)
        assert (kept.kind, policy.method(kept)) == ("none", make("sum"))
        assert f"'{usual}' is left out" in kept.reason
        assert kept.left_out == usual.reweighting
    for policy in (asked, Policy(rule=rule)):
        diagnosis = policy.diagnose(opposed)
        assert policy.select(diagnosis, weighted=True) == policy.select(diagnosis)


def test_without_residuals_plans_have_their_surgery_alone(opposed):
    other = Policy().without_residuals()
    plan = other.select(other.diagnose(opposed))
    assert (plan.kind, other.method(plan)) == ("surgery", make("pcgrad"))
    assert plan.reason.endswith("Residuals cannot be read: surgery alone, without 'ntk'.")
    with_adapters = Policy(design=AdapterDesign()).without_residuals()
    assert with_adapters.select(other.diagnose(opposed)).kind == "adapters + surgery"
    assert Policy("dwa").without_residuals() is None


@pytest.mark.usefixtures("papers_rule")
def test_without_residuals_plans_without_surgery_get_some(opposed):
    other = Policy().without_residuals()
    plan = other.select(other.diagnose(opposed))
    assert (plan.kind, plan.reweighting, plan.surgery) == ("adapters + surgery", None, "pcgrad")


def test_thresholds_decide_without_a_rule(opposed):
    strict = Thresholds(persistent_cosine=-0.95)
    assert Policy(thresholds=strict).diagnose(opposed).regime == "benign"
    assert Policy().diagnose(opposed).regime == "persistent"


def test_every_plan_that_can_come_about(rule):
    kinds = {(p.kind, p.reweighting) for p in Policy(rule=rule).plans("why")}
    assert ("adapters + reweighting", "softadapt") in kinds
    assert all(
        name == "dwa"
        for _, name in {(p.kind, p.reweighting) for p in Policy("dwa", rule=rule).plans("why")}
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reweighting": "pcgrad"}, "expected a reweighting method, found 'pcgrad'"),
        ({"reweighting": 3}, "expected reweighting as a name or a method, found 3"),
        ({"design": "shared"}, "expected adapters as an AdapterDesign, found 'shared'"),
        ({"rule": Rule.default(), "thresholds": Thresholds()}, "a rule or thresholds, found both"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(MethodError, match=message):
        Policy(**options)
