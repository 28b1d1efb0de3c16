"""How long a series remembers: lag-1 autocorrelation and integrated autocorrelation time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WINDOW = 5.0
"""Sokal's c: correlations are summed up to this many autocorrelation times."""


def autocorrelations(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[T, S]`` S series -> ``[T, S]`` autocorrelations at lags 0 to T - 1.

    Formula: ``c(h) / c(0)`` with ``c(h) = sum_t (x_t - m)(x_{t+h} - m) / T``, m the mean. Entries
    that are not finite count as the mean. A constant series has autocorrelation 0 at every lag
    but 0.
    Source: the usual (biased, positive definite) estimate, e.g. Priestley 1981, section 5.3.
    """
    total = len(series)
    there = np.isfinite(series)
    count = np.maximum(there.sum(axis=0), 1)
    filled = np.where(there, series, 0.0)
    mean = filled.sum(axis=0) / count
    centred = np.where(there, series - mean, 0.0)
    # rounding of the mean is no variation
    scale = np.abs(filled).max(axis=0, initial=0.0)
    centred[:, np.abs(centred).max(axis=0, initial=0.0) <= 1e-12 * scale] = 0.0
    spectrum = np.fft.rfft(centred, 2 * total, axis=0)
    products = np.fft.irfft(np.abs(spectrum) ** 2, 2 * total, axis=0)[:total]
    variation = products[0]
    found = np.where(variation > 0, products / np.where(variation > 0, variation, 1.0), 0.0)
    found[0] = 1.0
    return found


def correlation_times(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[T, S]`` S series -> ``[S]`` integrated autocorrelation times in samples, at least 1.

    The mean of T samples is as uncertain as one of ``T / tau`` independent ones.

    Formula: ``tau = 1 + 2 sum_{h=1}^{M} rho(h)`` with the smallest ``M >= 5 tau(M)``.
    Source: Sokal 1997, "Monte Carlo methods in statistical mechanics", section 3; Madras, Sokal
    1988, appendix C.
    Differs: at least ``(1 + r) / (1 - r)``, the time of an AR(1) process whose autocorrelation r at
    lag 1 is the estimate freed of its bias, ``r = (T rho(1) + 1) / (T - 3)`` (Kendall 1954), since
    the estimate from few samples is too small; at most T.
    """
    total = len(series)
    if total < 4:
        return np.ones(series.shape[1])
    rho = autocorrelations(series)
    running = 2.0 * np.cumsum(rho, axis=0) - 1.0
    enough = np.arange(total)[:, None] >= _WINDOW * running
    enough[-1] = True
    summed = np.take_along_axis(running, enough.argmax(axis=0)[None, :], axis=0)[0]
    varies = np.any(rho[1:] != 0, axis=0)
    lag = np.clip((total * rho[1] + 1.0) / (total - 3.0), 0.0, (total - 1.0) / (total + 1.0))
    simple = np.where(varies, (1.0 + lag) / (1.0 - lag), 1.0)
    found: NDArray[np.float64] = np.clip(np.maximum(summed, simple), 1.0, float(total))
    return found
