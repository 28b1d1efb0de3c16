"""How sure a verdict is: its confidence, its margin, and intervals of the numbers behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .autocorrelation import correlation_times
from .bootstrap import Resampled, resample
from .loss_statistics import norm_ratio
from .pair_statistics import pair_cosines
from .profile import Profile
from .thresholds import Thresholds

Array = NDArray[np.float64]

LARGEST_MARGIN = 100.0
"""Numbers that do not vary at all are infinitely many standard errors from their thresholds."""
_FEWEST = 3
"""Samples of a profile whose last half has two."""
_LARGEST_LOG = 700.0
_SEED = 0


@dataclass(frozen=True)
class DecisionResamples:
    """Of the numbers that decide the regime.

    Attributes:
        fractions, cosines: of the pairs' conflicting fractions and mean cosines, last half.
        log_ratio: of the mean logarithm of the norm ratio, whole profile; one series.
    """

    fractions: Resampled
    cosines: Resampled
    log_ratio: Resampled


def resample_decision(profile: Profile, thresholds: Thresholds) -> DecisionResamples | None:
    """Resample what decides the regime; ``None`` if its last half has a single sample.

    Circular block bootstrap (see ``bootstrap``) of the last half for conflicts and of the whole for
    the norm ratio, independently of each other; all pairs from the same samples, so that what they
    have in common stays in common. Their blocks are as long as the longest autocorrelation time of
    a pair asks for; that of the pair nearest to persistent conflict was slightly overconfident on
    synthetic problems. The random source is the function's own and always starts alike: the same
    profile has the same verdict.
    """
    total = len(profile.steps)
    if total < _FEWEST:
        return None
    generator = np.random.default_rng(_SEED)
    late = pair_cosines(profile)[total // 2 :]
    count = late.shape[1]
    conflicts = np.where(np.isfinite(late), late < thresholds.conflict_below, np.nan)
    time = float(correlation_times(late).max(initial=1.0))
    both = resample(np.concatenate([conflicts, late], axis=1), time, generator)
    logs = np.log(norm_ratio(profile))[:, None]
    ratio = resample(logs, float(correlation_times(logs)[0]), generator)
    return DecisionResamples(
        Resampled(both.means[:, :count], both.errors[:count]),
        Resampled(both.means[:, count:], both.errors[count:]),
        ratio,
    )


def confidence(found: DecisionResamples, regime: str, thresholds: Thresholds) -> float:
    """Share of the resamples that come to the same regime."""
    t = thresholds
    conflict = found.fractions.means >= t.persistent_fraction
    persistent = (conflict & (found.cosines.means <= t.persistent_cosine)).any(axis=1)
    large = found.log_ratio.means[:, 0] >= math.log(t.magnitude_ratio)
    same = {
        "persistent": persistent,
        "magnitude": ~persistent & large,
        "benign": ~persistent & ~large,
    }[regime]
    return float(same.mean())


def margin(
    found: DecisionResamples, fractions: Array, cosines: Array, ratio: float, thresholds: Thresholds
) -> float:
    """Distance to the nearest other regime in standard errors, at most ``LARGEST_MARGIN``.

    Formula: each number has the score ``z = (value - threshold) / error``, positive on the side on
    which its check holds. A pair is persistent by ``P = min(z_fraction, z_cosine)``, the profile by
    the largest P of its pairs, and imbalanced by ``M = z_log_ratio``. The margin is ``P`` of a
    persistent profile (all its persistent pairs must change), ``min(-P, M)`` of one with imbalanced
    magnitudes and ``min(-P, -M)`` of a benign one.

    Args:
        fractions, cosines: ``[S]`` the pairs' conflicting fractions and mean cosines, last half.
        ratio: geometric mean of the norm ratio.
    """
    t = thresholds
    pairs = np.minimum(
        _scores(fractions - t.persistent_fraction, found.fractions.errors),
        _scores(t.persistent_cosine - cosines, found.cosines.errors),
    )
    persistent = float(pairs.max(initial=-LARGEST_MARGIN))
    if persistent >= 0:
        return persistent
    distance = np.array([math.log(ratio) - math.log(t.magnitude_ratio)])
    return min(-persistent, abs(float(_scores(distance, found.log_ratio.errors)[0])))


def interval(means: Array, lowest: float, highest: float) -> tuple[float, float]:
    """The 90 % percentile interval of resampled means, within the range of the number."""
    low, high = np.clip(np.quantile(means, (0.05, 0.95)), lowest, highest)
    return float(low), float(high)


def ratio_interval(found: DecisionResamples) -> tuple[float, float]:
    """The 90 % interval of the norm ratio."""
    low, high = interval(found.log_ratio.means, 0.0, _LARGEST_LOG)
    return math.exp(low), math.exp(high)


def _scores(distances: Array, errors: Array) -> Array:
    unlimited = np.sign(distances) * LARGEST_MARGIN
    found = np.divide(distances, errors, out=unlimited, where=errors > 0)
    return np.clip(found, -LARGEST_MARGIN, LARGEST_MARGIN)
