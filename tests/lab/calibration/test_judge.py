"""A rule on records that it was not fitted to."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from conflictopt import Thresholds
from conflictopt.lab.calibration import gather, judge
from conflictopt.lab.calibration.calibration_error import CalibrationError
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.rule import Rule

SIZES = {"persistent": 4, "magnitude": 3, "benign": 3}


@pytest.fixture(scope="module")
def evidence(records_of):
    effects = {
        "relobralo": {"persistent": 0.25, "magnitude": 1.0, "benign": 1.0},
        "ntk": {"persistent": 1.0, "magnitude": 0.5, "benign": 2.0},
    }
    return gather(records_of(effects, SIZES, seeds=2, noise=0.0))


def rule_with(**plans):
    """Nothing but what is given."""
    base = Rule.default()
    every = {**dict.fromkeys(base.plans, PlanTemplate("none")), **plans}
    return replace(base, plans=every)


def test_the_rule_is_compared_with_every_candidate(evidence):
    rule = rule_with(
        persistent=PlanTemplate("reweighting", "relobralo"),
        magnitude=PlanTemplate("reweighting", "ntk"),
    )
    found = judge(evidence, rule)
    logs = {"none": 4 * math.log(0.25) + 3 * math.log(0.5)}
    logs["relobralo"] = 3 * math.log(0.5)
    logs["ntk"] = 4 * math.log(0.25) + 3 * math.log(1 / 2)
    assert {k: r.value for k, r in found.against.items()} == pytest.approx(
        {k: math.exp(v / 10) for k, v in logs.items()}
    )
    assert found.runs == {"persistent": 8, "magnitude": 6, "benign": 6}
    assert found.against["none"].interval is not None


def test_thresholds_of_the_rule_count(evidence):
    rule = rule_with(magnitude=PlanTemplate("reweighting", "ntk"))
    assert judge(evidence, rule).against["none"].value < 1
    high = replace(rule, thresholds=Thresholds(magnitude_ratio=1000.0))
    assert judge(evidence, high).against["none"].value == 1
    assert judge(evidence, high).runs == {"persistent": 8, "benign": 12}


def test_profiles_too_short_get_nothing(evidence):
    rule = rule_with(persistent=PlanTemplate("reweighting", "relobralo"))
    long = replace(rule, thresholds=Thresholds(enough_samples=61))
    found = judge(evidence, long)
    assert found.runs == {"too_short": 20}
    assert found.against["none"].value == 1


def test_a_plan_without_runs_is_refused_where_it_is_needed(evidence):
    missing = PlanTemplate("adapters + reweighting", "ntk", {"rank": 2})
    with pytest.raises(CalibrationError, match=r"plan for 'benign', adapters .*'rank': 2"):
        judge(evidence, rule_with(benign=missing))
    assert np.isfinite(judge(evidence, rule_with(too_close=missing)).against["none"].value)
