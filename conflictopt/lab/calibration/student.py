"""Student's interval of a mean over problems."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..study_report.statistics.bootstrap import Interval


def student_interval(values: NDArray[np.float64], level: float) -> Interval:
    """Interval of the mean of n independent values, at least two.

    Formula: ``mean +- t_{n-1}((1 + level) / 2) s / sqrt(n)``.
    Why not the bootstrap of the report: many decisions hang on this one, each on few problems, and
    far in the tails a resample of a few values cannot be wide enough. The tests simulate studies of
    pure noise and count how often some situation departs from the default.
    """
    n, mean = len(values), float(values.mean())
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1)) / math.sqrt(n)
    return Interval(mean - half, mean + half)
