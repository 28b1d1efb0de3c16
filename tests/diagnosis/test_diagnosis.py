"""The regime rule on profiles with known angles and norms."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from conflictopt import Thresholds, diagnose

MILD = [-0.3] * 100
"""A pair that conflicts all the time, at cosine -0.3."""


@pytest.mark.parametrize(
    ("cosines", "ratio", "regime"),
    [
        ([0.5] * 100, 1.0, "benign"),
        ([0.5] * 100, 9.9, "benign"),
        ([0.5] * 100, 10.1, "magnitude"),
        (MILD, 1.0, "persistent"),
        (MILD, 1000.0, "persistent"),
        ([-0.9] * 50 + [0.5] * 50, 1.0, "benign"),
        ([0.5] * 50 + [-0.9] * 50, 1.0, "persistent"),
        ([0.5] * 50 + [-0.9] * 29 + [0.0] * 21, 1.0, "benign"),
        ([0.5] * 50 + [-0.9] * 30 + [0.0] * 20, 1.0, "persistent"),
        ([-0.08] * 100, 1.0, "benign"),
        ([-0.04] * 100, 1.0, "benign"),
    ],
)
def test_regimes_of_one_pair(cosines, ratio, regime, profile_of_pair):
    assert diagnose(profile_of_pair(cosines, ratio)).regime == regime


def test_one_persistent_pair_of_three_losses_decides(profile_of_rows):
    rows = np.tile([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -0.6, 0.8]], (60, 1, 1))
    d = diagnose(profile_of_rows(rows))
    assert d.regime == "persistent"
    assert (d.worst_pair.first, d.worst_pair.second) == ("b", "c")
    assert d.checks[0].what.startswith("b / c ")


def test_a_persistent_pair_comes_before_one_with_a_lower_mean(profile_of_rows):
    """a/b conflicts rarely but strongly, a/c mildly but always: a/c is the one to report."""
    a, b = [1.0, 0.0, 0.0], [0.3, 0.954, 0.0]
    c = [-0.2, 0.0, 0.98]
    rows = [[a, [-1.0, 0.0, 0.0] if t % 2 else b, c] for t in range(60)]
    d = diagnose(profile_of_rows(rows))
    means = {(p.first, p.second): p.cosine_late for p in d.pairs}
    assert means["a", "b"] < means["a", "c"]
    assert (d.regime, d.worst_pair.first, d.worst_pair.second) == ("persistent", "a", "c")


# -- the reasons -------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 30.0])
@pytest.mark.parametrize("cosine", [-0.5, 0.5])
def test_checks_hold_the_numbers_and_thresholds_that_decided(cosine, ratio, profile_of_pair):
    d, t = diagnose(profile_of_pair([cosine] * 60, ratio)), Thresholds()
    fraction, mean, norms = d.checks
    assert (fraction.value, fraction.relation, fraction.threshold) == (
        float(cosine < 0),
        ">=",
        t.persistent_fraction,
    )
    assert (mean.relation, mean.threshold) == ("<=", t.persistent_cosine)
    assert mean.value == pytest.approx(cosine)
    assert (norms.relation, norms.threshold) == (">=", t.magnitude_ratio)
    assert norms.value == pytest.approx(ratio) == d.norm_ratio
    for check in d.checks:
        above = check.value >= check.threshold
        assert check.holds is (above if check.relation == ">=" else check.value <= check.threshold)
    persistent = fraction.holds and mean.holds
    expected = "persistent" if persistent else "magnitude" if norms.holds else "benign"
    assert d.regime == expected


def test_a_check_reads_as_a_sentence(profile_of_pair):
    fraction, mean, norms = map(str, diagnose(profile_of_pair(MILD, 20.0)).checks)
    assert fraction == "a / b conflicting fraction, last half: 1 >= 0.6? yes"
    assert mean == "a / b mean cosine, last half: -0.3 <= -0.1? yes"
    assert norms == "gradient-norm ratio, geometric mean: 20 >= 10? yes"
    assert str(diagnose(profile_of_pair([0.5])).checks[0]).endswith("0 >= 0.6? no")


# -- every threshold counts --------------------------------------------------------------------

RARELY = [0.5] * 50 + [-0.9] * 35 + [0.0] * 15
CHANGED = {
    "conflict_below": (MILD, 1.0, -0.5, "persistent", "benign"),
    "persistent_fraction": (RARELY, 1.0, 0.8, "persistent", "benign"),
    "persistent_cosine": (MILD, 1.0, -0.4, "persistent", "benign"),
    "magnitude_ratio": ([0.5] * 60, 5.0, 4.0, "benign", "magnitude"),
    "enough_samples": ([0.5] * 60, 1.0, 61, False, True),
    "enough_confidence": ([0.3, -0.4] * 30 + [-0.4] * 10, 1.0, 0.0, True, False),
}


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Thresholds)])
def test_each_threshold_changes_the_verdict(name, profile_of_pair):
    cosines, ratio, value, default, changed = CHANGED[name]
    profile = profile_of_pair(cosines, ratio)
    verdict = {"enough_samples": "too_short", "enough_confidence": "too_close"}.get(name, "regime")
    assert getattr(diagnose(profile), verdict) == default
    thresholds = Thresholds(**{name: value})
    assert getattr(diagnose(profile, thresholds), verdict) == changed
    assert diagnose(profile, thresholds).thresholds == thresholds


# -- edges -------------------------------------------------------------------------------------


def test_too_short_is_said_from_the_number_of_samples(profile_of_pair):
    assert diagnose(profile_of_pair([0.5] * 49)).too_short
    assert not diagnose(profile_of_pair([0.5] * 50)).too_short


def test_one_loss_is_benign(profile_of_rows):
    d = diagnose(profile_of_rows(np.ones((60, 1, 3))))
    assert (d.regime, d.pairs, d.worst_pair, d.norm_ratio) == ("benign", (), None, 1.0)
    assert len(d.checks) == 1


def test_losses_without_any_gradient_are_benign(profile_of_rows):
    assert diagnose(profile_of_rows(np.zeros((60, 3, 2)))).regime == "benign"


def test_diagnosis_is_plain_data(profile_of_rows, profile_of_pair):
    for profile in (profile_of_pair(MILD, 20.0), profile_of_rows(np.zeros((3, 2, 2)))):
        d = diagnose(profile)
        data = json.loads(json.dumps(d.to_json(), allow_nan=False))
        assert data["regime"] == d.regime
        assert data["too_short"] is d.too_short
        assert data["too_close"] is d.too_close
        assert data["steps"] == [0, 10 * (len(profile.steps) - 1)]
        assert data["samples"] == len(profile.steps)
        assert data["checks"] == [dataclasses.asdict(c) for c in d.checks]
        assert data["thresholds"] == dataclasses.asdict(Thresholds())
