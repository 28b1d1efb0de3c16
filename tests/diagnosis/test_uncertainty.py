"""How sure a verdict is: confidence, margin, intervals, too close, too short."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conflictopt import Thresholds, diagnose
from conflictopt.diagnosis.uncertainty import LARGEST_MARGIN
from conflictopt.lab.synthetic.noise import autoregressive


def noisy(mean, samples=100, spread=0.3, memory=0.3, seed=0):
    noise = autoregressive(samples, (), memory, np.random.default_rng(seed))
    return np.clip(mean + spread * noise, -0.99, 0.99)


def test_the_same_profile_has_the_same_verdict(profile_of_pair):
    profile = profile_of_pair(noisy(-0.15))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert diagnose(profile) == diagnose(profile)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("mean", [-0.7, 0.5])
def test_far_from_the_thresholds_the_verdict_is_sure(mean, profile_of_pair):
    d = diagnose(profile_of_pair(noisy(mean)))
    assert d.confidence > 0.99
    assert d.margin > 3
    assert not d.too_close


def test_near_a_threshold_the_verdict_is_too_close(profile_of_pair):
    close = [diagnose(profile_of_pair(noisy(-0.14, seed=s))) for s in range(20)]
    assert sum(d.too_close for d in close) >= 10
    assert {d.regime for d in close} == {"persistent", "benign"}
    assert all(d.margin < 3 for d in close if d.too_close)


def test_confidence_falls_and_margin_with_it_toward_the_threshold(profile_of_pair):
    found = [diagnose(profile_of_pair(noisy(mean))) for mean in (0.4, 0.05, -0.05)]
    margins = [d.margin for d in found]
    assert [d.regime for d in found] == ["benign"] * 3
    assert margins == sorted(margins, reverse=True)
    assert found[0].confidence > found[-1].confidence


def test_intervals_hold_the_numbers_and_stay_in_range(profile_of_pair):
    for check in diagnose(profile_of_pair(noisy(-0.2), ratio=3.0)).checks:
        assert check.low - 1e-12 <= check.value <= check.high + 1e-12
    fraction, cosine, ratio = diagnose(profile_of_pair(noisy(0.95, spread=0.1))).checks
    assert (fraction.low, fraction.high) == (0.0, 0.0)
    assert cosine.high <= 1
    assert ratio.low == pytest.approx(1.0)


def test_margins_by_hand(profile_of_pair):
    """Half the samples conflict, of 0.6 that are needed; nothing varies in the other profile."""
    d = diagnose(profile_of_pair([-0.9, 0.2] * 50, ratio=5.0))
    error = np.sqrt(0.5 * 0.5 / (50 - 1))  # of the fraction of 50 samples without memory
    assert d.regime == "benign"
    assert d.margin == pytest.approx((0.6 - 0.5) / error, rel=0.1)
    still = diagnose(profile_of_pair([-0.3] * 100, ratio=5.0))
    assert (still.confidence, still.margin) == (1.0, LARGEST_MARGIN)


def test_one_imbalanced_regime_can_be_near_persistent_conflict(profile_of_pair):
    """The ratio is far from its threshold; the conflict is what may change the verdict."""
    d = diagnose(profile_of_pair(noisy(-0.08, seed=4), ratio=1e4))
    assert d.regime == "magnitude"
    assert d.margin < 3
    ratio = d.checks[-1]
    assert ratio.low > 10 * ratio.threshold


def test_a_ratio_near_its_threshold_is_too_close(profile_of_rows):
    sizes = 10 ** (1 + 0.5 * autoregressive(100, (), 0.5, np.random.default_rng(1)))
    sizes *= 10 / np.exp(np.log(sizes).mean())
    rows = np.stack([np.ones((100, 1)), sizes[:, None]], axis=1)
    d = diagnose(profile_of_rows(rows))
    assert d.too_close
    assert d.checks[-1].low < 10 < d.checks[-1].high


def test_longer_memory_makes_less_sure(profile_of_pair):
    margins = [
        np.median(
            [diagnose(profile_of_pair(noisy(-0.4, memory=m, seed=s))).margin for s in range(9)]
        )
        for m in (0.0, 0.9)
    ]
    assert margins[0] > 1.5 * margins[1]


@pytest.mark.parametrize("samples", [1, 2, 3, 10, 49])
def test_short_profiles_say_so_and_still_have_a_confidence(samples, profile_of_pair):
    d = diagnose(profile_of_pair(noisy(-0.5, samples)))
    assert d.too_short
    assert 0 <= d.confidence <= 1
    if samples < 3:
        assert (d.confidence, d.margin, d.too_close) == (0.0, 0.0, True)
        assert all(c.low == c.value == c.high for c in d.checks)
    json.dumps(d.to_json(), allow_nan=False)


def test_one_loss_and_no_gradient_are_certain(profile_of_rows):
    for rows in (np.ones((60, 1, 3)), np.zeros((60, 3, 2))):
        d = diagnose(profile_of_rows(rows))
        assert (d.regime, d.confidence, d.margin) == ("benign", 1.0, LARGEST_MARGIN)


def test_transient_pairs_are_named_and_not_persistent(profile_of_pair):
    d = diagnose(profile_of_pair([*noisy(-0.8, 40), *noisy(0.6, 60)]))
    assert d.regime == "benign"
    assert [(p.first, p.second) for p in d.transient_pairs] == [("a", "b")]
    assert diagnose(profile_of_pair(noisy(-0.8))).transient_pairs == ()


def test_bad_confidences_are_refused():
    from conflictopt import MethodError

    with pytest.raises(MethodError, match=r"confidence in \[0, 1\]"):
        Thresholds(enough_confidence=1.5)
