"""Statistics of single losses, and how far their gradients differ in size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .profile import Profile


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


def _geometric_mean(values: NDArray[np.float64]) -> float:
    positive = values[values > 0]
    return float(np.exp(np.mean(np.log(positive)))) if positive.size else 0.0
