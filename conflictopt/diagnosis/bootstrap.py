"""Circular block bootstrap of the means of several series, all resampled alike."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 500
_FREEDOM = 3.0
"""Below that, tails say more of a drift, which looks like a long memory, than of noise."""


def block_length(total: int, time: float) -> int:
    """Length of the blocks, in samples, between 1 and a third of the series.

    Formula: ``l = (3/2 g^2 T)^(1/3)``, rounded up, with ``g = (tau - 1/tau) / 2``: what minimises
    the mean squared error of the variance for an AR(1) process of autocorrelation time tau.
    Source: Politis, White 2004 with the correction of Patton, Politis, White 2009, circular blocks,
    of which ``g = sum_h |h| rho(h) / sum_h rho(h) = 2 r / (1 - r^2)`` with ``r = (tau-1)/(tau+1)``.

    Args:
        total: T, the number of samples.
        time: tau, the integrated autocorrelation time, in samples.
    """
    g = 0.5 * (time - 1.0 / time)
    best = math.ceil(float(np.cbrt(1.5 * g * g * total)))
    return max(1, min(best, total // 3))


def spread_correction(total: int, length: int, time: float) -> float:
    """What the deviations of resampled means are multiplied by, at least 1.

    Blocks lose the correlations that reach beyond them, and deviations are from the mean of the
    sample rather than from the true one; both make the bootstrap's variance too small.

    Formula: the root of ``V_T / ((l / T) (V_l - V_T))``, where ``V_m`` is the variance of the mean
    of m successive samples of an AR(1) process of autocorrelation time tau. For independent
    samples and l = 1 that is the usual ``sqrt(T / (T - 1))``.
    Source: ours; Kuensch 1989 has the bias of the blocks' variance that it undoes.
    """
    whole, block = _variance_of_mean(total, time), _variance_of_mean(length, time)
    expected = length / total * (block - whole)
    return math.sqrt(max(1.0, whole / expected))


def _variance_of_mean(count: int, time: float) -> float:
    r = (time - 1.0) / (time + 1.0)
    lags = np.arange(1, count)
    return float((1.0 + 2.0 * np.sum((1.0 - lags / count) * r**lags)) / count)


class Resampled(NamedTuple):
    """Resampled means of S series.

    Attributes:
        means: ``[RESAMPLES, S]``.
        errors: ``[S]`` standard errors of the means.
    """

    means: Array
    errors: Array


def resample(series: Array, time: float, generator: np.random.Generator) -> Resampled:
    """``[T, S]`` S series -> resampled means and their standard errors, NaN left out.

    Each resample strings random blocks of successive samples together, the last sample followed by
    the first, and cuts the end off at T samples. Deviations from the mean are stretched by
    ``spread_correction``; the errors are their root mean square.

    Source: Kuensch 1989 (blocks); Politis, Romano 1992 (circular).
    Differs: the deviations in ``means`` are also multiplied by ``sqrt(nu / chi^2_nu)``, one draw
    per resample with ``nu = max(3, T / tau - 1)``: from few independent samples the error itself
    is known badly, and intervals have Student's tails instead of normal ones.

    Args:
        time: tau, the integrated autocorrelation time of the series, in samples.
        generator: of the blocks' beginnings.

    Raises:
        ValueError: fewer than two samples, of which there are no deviations.
    """
    total = len(series)
    if total < 2:
        raise ValueError(f"expected at least two samples to resample, found {total}.")
    length = block_length(total, time)
    starts = generator.integers(total, size=(RESAMPLES, math.ceil(total / length)))
    taken = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :total] % total
    taken += total * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(taken.ravel(), minlength=RESAMPLES * total).reshape(RESAMPLES, total)
    centre = _means(series, np.ones((1, total)))
    moved = _means(series, counts.astype(np.float64)) - centre
    moved *= spread_correction(total, length, time)
    freedom = max(_FREEDOM, total / time - 1.0)
    tails = np.sqrt(freedom / generator.chisquare(freedom, size=(RESAMPLES, 1)))
    errors: Array = np.sqrt(np.mean(moved**2, axis=0))
    return Resampled(centre + tails * moved, errors)


def _means(series: Array, weights: Array) -> Array:
    """``[R, T]`` weights -> ``[R, S]`` weighted means; 0 where no sample with a weight is there."""
    there = np.isfinite(series)
    count = weights @ there
    found = np.zeros_like(count)
    np.divide(weights @ np.where(there, series, 0.0), count, out=found, where=count > 0)
    return found
