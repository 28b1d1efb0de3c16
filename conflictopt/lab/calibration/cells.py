"""The situation of every run, and what each candidate does there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...diagnosis.diagnosis import diagnose
from ...diagnosis.thresholds import Thresholds
from .evidence import Evidence

TOO_SHORT = "too_short"
"""The situation of a run of which no rule is asked (see ``Diagnosis.situation``): no treatment."""


def situations(evidence: Evidence, thresholds: Thresholds) -> tuple[str, ...]:
    """Per run the situation that a diagnosis by these thresholds sees."""
    found = (diagnose(profile, thresholds).situation for profile in evidence.profiles)
    return tuple(situation or TOO_SHORT for situation in found)


def cells(evidence: Evidence, where: Sequence[str], situation: str) -> NDArray[np.float64]:
    """``[M, P]`` mean logs over the runs in a situation; NaN where a problem has none there.

    Args:
        where: the situation of each run.
    """
    return evidence.means_of(np.array([s == situation for s in where]))


def best(means: NDArray[np.float64], broken: NDArray[np.bool_], problems: NDArray[np.int64]) -> int:
    """The candidate with the lowest mean over problems, each counting once.

    One that is broken on any of them (see ``Evidence``) is not eligible. Plain training always is,
    and comes first among equals.

    Args:
        means: ``[M, P]`` mean logs.
        broken: ``[M, P]``.
        problems: which count; at least one.
    """
    values = means[:, problems].mean(axis=1)
    values[broken[:, problems].any(axis=1)] = np.inf
    # to 12 digits: sums in another order must not decide between equals
    return int(np.argmin(np.round(values, 12)))
