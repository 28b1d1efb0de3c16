"""Statistics of pairs of losses: how often, how much and how long they conflict."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .autocorrelation import autocorrelations, correlation_times
from .profile import Profile
from .thresholds import Thresholds


@dataclass(frozen=True)
class PairStatistics:
    """Conflict between two losses; fractions and means over samples where both have a gradient.

    With ``cos_t`` the cosine between the gradients at sample t of T, conflicting where below
    ``Thresholds.conflict_below``.

    Attributes:
        first, second: loss names.
        conflict, conflict_late: fraction of conflicting samples, over all samples and over the
            last half. Source: the conflict of Yu et al. 2020 (arXiv 2001.06782), definition 1, is
            a cosine below 0; here below the threshold.
        cosine, cosine_late: mean cosine, likewise.
        longest_run: most consecutive conflicting samples.
        severity: ``mean(max(0, -cos_t))``, how strongly they oppose each other on average: 0
            without any negative cosine, 1 if always opposed. Ours.
        run_fraction: ``longest_run / T``.
        autocorrelation: of the cosine at lag 1, see ``autocorrelations``; 0 for a constant.
        correlation_time: of the cosine, in samples, see ``correlation_times``.
        transient: whether the first or the second quarter alone would be persistent conflict,
            and the last half is not.
    """

    first: str
    second: str
    conflict: float
    conflict_late: float
    cosine: float
    cosine_late: float
    longest_run: int
    severity: float
    run_fraction: float
    autocorrelation: float
    correlation_time: float
    transient: bool


def pair_cosines(profile: Profile) -> NDArray[np.float64]:
    """``[T, K (K - 1) / 2]`` cosines of the pairs, in the order of the names."""
    first, second = np.triu_indices(len(profile.names), 1)
    found: NDArray[np.float64] = profile.cosines[:, first, second]
    return found


def is_persistent(fraction: float, cosine: float, thresholds: Thresholds) -> bool:
    """Whether a conflicting fraction and a mean cosine are persistent conflict."""
    t = thresholds
    return fraction >= t.persistent_fraction and cosine <= t.persistent_cosine


def pair_statistics(
    profile: Profile, thresholds: Thresholds | None = None
) -> tuple[PairStatistics, ...]:
    """Statistics of every pair, in the order of the names.

    Args:
        thresholds: of conflict and of persistence; the default ones without.
    """
    t, total = thresholds or Thresholds(), len(profile.steps)
    names = combinations(profile.names, 2)
    cosines = pair_cosines(profile)
    if not cosines.shape[1]:
        return ()
    lag = autocorrelations(cosines)[1] if total > 1 else np.zeros(cosines.shape[1])
    times = correlation_times(cosines)
    result = []
    for p, (first, second) in enumerate(names):
        cos = cosines[:, p]
        late = _summary(cos[total // 2 :], t)
        run = _longest_run(cos < t.conflict_below)
        early = (_summary(cos[: total // 4], t), _summary(cos[total // 4 : total // 2], t))
        conflict, mean = _summary(cos, t)
        result.append(
            PairStatistics(
                first,
                second,
                conflict,
                late[0],
                mean,
                late[1],
                run,
                _mean(np.maximum(0.0, -cos)),
                run / total,
                float(lag[p]),
                float(times[p]),
                not is_persistent(*late, t) and any(is_persistent(*e, t) for e in early),
            )
        )
    return tuple(result)


def _summary(cos: NDArray[np.float64], t: Thresholds) -> tuple[float, float]:
    """Conflicting fraction and mean cosine."""
    return _fraction_below(cos, t.conflict_below), _mean(cos)


def _fraction_below(cos: NDArray[np.float64], threshold: float) -> float:
    valid = cos[np.isfinite(cos)]
    return float(np.mean(valid < threshold)) if valid.size else 0.0


def _mean(cos: NDArray[np.float64]) -> float:
    valid = cos[np.isfinite(cos)]
    return float(np.mean(valid)) if valid.size else 0.0


def _longest_run(flags: NDArray[np.bool_]) -> int:
    ends = np.flatnonzero(~np.concatenate([[False], flags, [False]]))
    return int(np.diff(ends).max() - 1)
