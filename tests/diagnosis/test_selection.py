"""From a diagnosis to a plan, with its reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conflictopt import Plan, diagnose, select


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
def test_plan_of_each_regime(cosine, ratio, plan, profile_of_pair):
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
