"""Confidence intervals of a mean over problems, seeds within problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ENOUGH_PROBLEMS = 5
"""With fewer clusters a resample is hardly ever new: no interval is given."""
RESAMPLES = 9999
LEVEL = 0.95
_CHUNK = 2_000_000
"""Numbers drawn at a time, to bound memory."""


@dataclass(frozen=True)
class Interval:
    """An interval of a confidence level."""

    low: float
    high: float


def mean_interval(
    groups: Sequence[Sequence[float]],
    *,
    rng_seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval | None:
    """Bootstrap interval of the mean over problems of the mean over seeds.

    Problems are drawn with replacement, then seeds within each drawn problem (Davison, Hinkley
    1997, section 3.8, strategy 2; with much noise between seeds the interval is too wide rather
    than too narrow). The percentiles are widened for few problems as Hesterberg proposes (The
    American Statistician 69(4), 2015, "expanded percentile interval"): those of a t quantile with
    P - 1 degrees of freedom times sqrt(P / (P - 1)) in place of the normal quantile.
    ``scipy.stats.bootstrap`` cannot resample within what it resamples.

    Args:
        groups: P problems with the values of their seeds each, at least one.
        rng_seed: of a generator of its own: the same groups give the same interval.
        resamples, level: number of resamples, confidence level.

    Returns:
        The interval; ``None`` with fewer than ``ENOUGH_PROBLEMS`` problems.
    """
    size = len(groups)
    if size < ENOUGH_PROBLEMS:
        return None
    values, counts = _padded(groups)
    rng = np.random.default_rng(rng_seed)
    chunk = max(1, _CHUNK // values.size)
    pieces = [min(chunk, resamples - done) for done in range(0, resamples, chunk)]
    means = np.concatenate([_resampled(values, counts, piece, rng) for piece in pieces])
    wide = math.sqrt(size / (size - 1)) * stats.t.ppf((1 + level) / 2, size - 1)
    tail = float(stats.norm.sf(wide))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _padded(groups: Sequence[Sequence[float]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    counts = np.array([len(g) for g in groups])
    values = np.zeros((len(groups), counts.max()))
    for row, group in zip(values, groups, strict=True):
        row[: len(group)] = group
    return values, counts


def _resampled(
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    problems, seeds = values.shape
    drawn = rng.integers(problems, size=(resamples, problems))
    count = counts[drawn][..., None]
    seed = (rng.random((resamples, problems, seeds)) * count).astype(np.int64)
    taken = values[drawn[..., None], seed] * (np.arange(seeds) < count)
    means: NDArray[np.float64] = (taken.sum(-1) / count[..., 0]).mean(-1)
    return means
