"""How far all gradients agree: cancellation ratio and alignment score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .profile import Profile


@dataclass(frozen=True)
class Agreement:
    """Means over the samples in which some loss has a gradient; 1 if there is none.

    Attributes:
        cancellation, cancellation_late: see ``cancellation``; over all samples, over the last half.
        alignment, alignment_late: see ``alignment``, likewise.
    """

    cancellation: float
    cancellation_late: float
    alignment: float
    alignment_late: float


def agreement(profile: Profile) -> Agreement:
    """Both measures of a profile."""
    half = len(profile.steps) // 2
    series = cancellation(profile), alignment(profile)
    return Agreement(*(_mean(part) for s in series for part in (s, s[half:])))


def cancellation(profile: Profile) -> NDArray[np.float64]:
    """``[T]`` share of the gradients that is left after they are summed; NaN where all are zero.

    Formula: ``||sum_k g_k|| / sum_k ||g_k||`` in [0, 1]: 0 where they cancel, 1 where all point
    the same way. From the Gramian G: ``sqrt(sum_kl G_kl) / sum_k sqrt(G_kk)``. The larger
    gradients decide.
    Source: the triangle inequality; ours.
    """
    summed = np.sqrt(np.maximum(profile.gramians.sum(axis=(1, 2)), 0.0))
    return _ratio(summed, profile.norms.sum(axis=1))


def alignment(profile: Profile) -> NDArray[np.float64]:
    """``[T]`` alignment score of the n losses that have a gradient; NaN where there are none.

    Formula: ``A = 2 ||(1/n) sum_k g_k / ||g_k|| ||^2 - 1`` in [-1, 1]: -1 where the directions
    cancel, 1 where they are the same, the cosine for n = 2. From the cosines:
    ``2 sum_kl cos_kl / n^2 - 1``. Orthogonal gradients have ``2 / n - 1``.
    Source: the alignment score of Wang, Bhartari, Li, Perdikaris 2025 (arXiv 2502.00604), by its
    form: only the abstract was at hand, not the numbered equation.
    Differs: losses without a gradient are left out.
    """
    cosines = profile.cosines
    # a gradient has cosine 1 with itself, to the last digit
    active = np.isfinite(np.diagonal(cosines, axis1=1, axis2=2)).sum(axis=1)
    total = np.nansum(np.triu(cosines, 1), axis=(1, 2))
    share = _ratio(active + 2.0 * total, active.astype(np.float64) ** 2)
    score: NDArray[np.float64] = 2.0 * share - 1.0
    return score


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(len(b), np.nan)
    np.divide(a, b, out=found, where=b > 0)
    clipped: NDArray[np.float64] = np.clip(found, 0.0, 1.0)
    return clipped


def _mean(series: NDArray[np.float64]) -> float:
    there = series[np.isfinite(series)]
    return float(there.mean()) if there.size else 1.0
