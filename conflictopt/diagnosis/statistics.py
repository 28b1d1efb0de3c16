"""What a profile says about pairs of losses and about single losses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .profile import Profile


@dataclass(frozen=True)
class PairStatistics:
    """Conflict between two losses; fractions and means over samples where both have a gradient.

    Attributes:
        first, second: loss names.
        conflict, conflict_late: fraction of samples with cosine below the threshold, over all
            samples and over the last half.
        cosine, cosine_late: mean cosine, likewise.
        longest_run: most consecutive conflicting samples.
    """

    first: str
    second: str
    conflict: float
    conflict_late: float
    cosine: float
    cosine_late: float
    longest_run: int


@dataclass(frozen=True)
class LossStatistics:
    """One loss over the profile.

    Attributes:
        name: the loss.
        first, last: its value at the first and last sample.
        norm: geometric mean of its gradient norm; 0 when it never has a gradient.
        norm_late: the same over the last half.
    """

    name: str
    first: float
    last: float
    norm: float
    norm_late: float


def pair_statistics(profile: Profile, conflict_below: float) -> tuple[PairStatistics, ...]:
    """Statistics of every pair, in the order of the names.

    Args:
        conflict_below: a sample conflicts when the cosine is below this.
    """
    cosines = profile.cosines
    half = len(profile.steps) // 2
    result = []
    for i, j in combinations(range(len(profile.names)), 2):
        cos = cosines[:, i, j]
        result.append(
            PairStatistics(
                profile.names[i],
                profile.names[j],
                _fraction_below(cos, conflict_below),
                _fraction_below(cos[half:], conflict_below),
                _mean(cos),
                _mean(cos[half:]),
                _longest_run(cos < conflict_below),
            )
        )
    return tuple(result)


def loss_statistics(profile: Profile) -> tuple[LossStatistics, ...]:
    """Statistics of every loss."""
    half = len(profile.steps) // 2
    norms = profile.norms
    return tuple(
        LossStatistics(
            name,
            float(profile.losses[0, k]),
            float(profile.losses[-1, k]),
            _geometric_mean(norms[:, k]),
            _geometric_mean(norms[half:, k]),
        )
        for k, name in enumerate(profile.names)
    )


def norm_ratio(profile: Profile) -> NDArray[np.float64]:
    """``[T]`` largest over smallest gradient norm among the losses that have a gradient."""
    norms = np.where(profile.norms > 0, profile.norms, np.nan)
    ratio = np.ones(len(norms))
    some = np.isfinite(norms).any(axis=1)
    ratio[some] = np.nanmax(norms[some], axis=1) / np.nanmin(norms[some], axis=1)
    return ratio


def mean_norm_ratio(profile: Profile) -> float:
    """Geometric mean over the profile of the norm ratio."""
    return _geometric_mean(norm_ratio(profile))


def _fraction_below(cos: NDArray[np.float64], threshold: float) -> float:
    valid = cos[np.isfinite(cos)]
    return float(np.mean(valid < threshold)) if valid.size else 0.0


def _mean(cos: NDArray[np.float64]) -> float:
    valid = cos[np.isfinite(cos)]
    return float(np.mean(valid)) if valid.size else 0.0


def _geometric_mean(values: NDArray[np.float64]) -> float:
    positive = values[values > 0]
    return float(np.exp(np.mean(np.log(positive)))) if positive.size else 0.0


def _longest_run(flags: NDArray[np.bool_]) -> int:
    longest = current = 0
    for flag in flags:
        current = current + 1 if flag else 0
        longest = max(longest, current)
    return longest
