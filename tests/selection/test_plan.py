"""From a diagnosis to a plan, with its reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from conflictopt import MethodError, Plan, Thresholds, diagnose, select
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.rule import SITUATIONS, Rule, RuleError


@pytest.mark.parametrize(
    ("cosine", "ratio", "plan"),
    [
        (
            -0.62,
            20.0,
            Plan(
                "adapters + reweighting",
                "ntk",
                True,
                "'a' and 'b' conflict in 100% of the last half of the profile, mean cosine -0.62.",
            ),
        ),
        (
            0.5,
            20.0,
            Plan(
                "reweighting",
                "ntk",
                False,
                "no pair conflicts persistently, but gradient-norm ratio 20 is at least 10.",
            ),
        ),
        (
            0.5,
            2.0,
            Plan(
                "none",
                None,
                False,
                "no pair conflicts persistently, and gradient-norm ratio 2 is moderate.",
            ),
        ),
    ],
)
def test_plan_of_each_regime(cosine, ratio, plan, profile_of_pair, papers_rule):
    assert select(diagnose(profile_of_pair([cosine] * 60, ratio))) == plan


def test_one_loss_needs_nothing(profile_of_rows):
    plan = select(diagnose(profile_of_rows(np.ones((60, 1, 2)))))
    assert plan == Plan("none", None, False, "there is only one loss: nothing can conflict.")


def test_the_reason_is_about_the_last_half(profile_of_pair):
    plan = select(diagnose(profile_of_pair([0.5] * 30 + [-0.4] * 30)))
    assert "100% of the last half of the profile, mean cosine -0.40" in plan.reason


@pytest.mark.parametrize(("cosine", "ratio"), [(-0.5, 1.0), (0.5, 50.0)])
def test_another_reweighting_can_be_chosen(cosine, ratio, profile_of_pair):
    diagnosis = diagnose(profile_of_pair([cosine] * 60, ratio))
    assert select(diagnosis, reweighting="grad_norm").reweighting == "grad_norm"


def test_plan_is_plain_data(profile_of_pair):
    plan = select(diagnose(profile_of_pair([-0.5] * 60)))
    assert Plan(**json.loads(json.dumps(plan.to_json()))) == plan


# -- other rules ------------------------------------------------------------------------------


def with_plan(situation, template, evidence="no gain on 12 problems."):
    rule = Rule.default()
    return replace(
        rule,
        plans={**rule.plans, situation: template},
        evidence={**rule.evidence, f"plans.{situation}": evidence},
    )


@pytest.mark.parametrize(
    ("situation", "cosine", "ratio"),
    [("persistent", -0.6, 2.0), ("magnitude", 0.5, 20.0), ("benign", 0.5, 2.0)],
)
def test_the_rule_decides_in_each_regime(situation, cosine, ratio, profile_of_pair):
    diagnosis = diagnose(profile_of_pair([cosine] * 60, ratio))
    template = PlanTemplate("adapters + reweighting", "relobralo", {"rank": 8})
    plan = select(diagnosis, rule=with_plan(situation, template))
    assert (plan.kind, plan.reweighting, plan.adapters) == (template.kind, "relobralo", True)
    assert plan.design == {"rank": 8}
    other = next(s for s in SITUATIONS if s != situation)
    assert select(diagnosis, rule=with_plan(other, template)) == select(diagnosis)


def test_departing_from_the_paper_is_said(profile_of_pair, papers_rule):
    diagnosis = diagnose(profile_of_pair([-0.6] * 60))
    plan = select(diagnosis, rule=with_plan("persistent", PlanTemplate("reweighting", "ntk")))
    assert plan.reason == (
        "'a' and 'b' conflict in 100% of the last half of the profile, mean cosine -0.60. "
        "arXiv 2605.10136 recommends 'adapters + reweighting' here, the rule 'reweighting': "
        "no gain on 12 problems."
    )
    assert "2605.10136" not in select(diagnosis).reason


def test_a_verdict_too_close_to_call_has_a_plan_of_its_own(profile_of_pair):
    rng = np.random.default_rng(0)
    profile = profile_of_pair(np.clip(-0.1 + 0.1 * rng.normal(size=60), -1, 1))
    diagnosis = diagnose(profile)
    assert diagnosis.too_close
    assert not diagnosis.too_short
    template = PlanTemplate("reweighting", "relobralo")
    plan = select(diagnosis, rule=with_plan("too_close", template))
    assert plan.reweighting == "relobralo"
    assert f"confidence {diagnosis.confidence:.2f} is below 0.9" in plan.reason
    assert select(diagnosis).kind == Rule.default().plans["too_close"].kind


def test_too_short_goes_first(profile_of_pair):
    rng = np.random.default_rng(0)
    short = diagnose(profile_of_pair(np.clip(-0.1 + 0.1 * rng.normal(size=20), -1, 1)))
    assert short.too_close
    assert select(short).kind == "none"
    assert "20 samples decides nothing; 50 are needed" in select(short).reason
    alone = diagnose(profile_of_pair(np.array([-0.1])))
    assert select(alone).reason == "a profile of 1 sample decides nothing; 50 are needed."


def test_a_file_is_a_rule(profile_of_pair, tmp_path):
    diagnosis = diagnose(profile_of_pair([0.5] * 60))
    path = with_plan("benign", PlanTemplate("reweighting", "ntk")).save(tmp_path / "rule.json")
    assert select(diagnosis, rule=path).kind == select(diagnosis, rule=str(path)).kind
    assert select(diagnosis, rule=path).kind == "reweighting"
    with pytest.raises(RuleError, match=r"other\.json"):
        select(diagnosis, rule=tmp_path / "other.json")


def test_a_rule_needs_a_diagnosis_by_its_thresholds(profile_of_pair):
    profile = profile_of_pair([0.5] * 60, 20.0)
    rule = replace(Rule.default(), thresholds=Thresholds(magnitude_ratio=50.0))
    with pytest.raises(MethodError, match=r"diagnose\(profile, rule\.thresholds\)"):
        select(diagnose(profile), rule=rule)
    assert select(diagnose(profile, rule.thresholds), rule=rule).kind == "none"
    # with thresholds of one's own and no rule, the default plans hold
    assert select(diagnose(profile, rule.thresholds)).kind == "none"


def test_the_name_of_a_reweighting_goes_second(profile_of_pair):
    diagnosis = diagnose(profile_of_pair([-0.5] * 60))
    assert select(diagnosis, "grad_norm").reweighting == "grad_norm"
    benign = diagnose(profile_of_pair([0.5] * 60))
    assert select(benign, "grad_norm").reweighting is None
