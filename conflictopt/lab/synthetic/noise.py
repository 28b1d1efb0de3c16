"""Gaussian noise with a memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def autoregressive(
    steps: int, shape: tuple[int, ...], correlation: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """``[steps, *shape]`` stationary AR(1) series of variance 1.

    Formula: ``e_t = r e_{t-1} + sqrt(1 - r^2) w_t`` with independent standard normal w_t and e_0;
    its autocorrelation at lag h is ``r^h``, its autocorrelation time ``(1 + r) / (1 - r)``.

    Args:
        correlation: r, in [0, 1).
    """
    fresh = generator.standard_normal((steps, *shape))
    fresh[1:] *= (1.0 - correlation**2) ** 0.5
    for t in range(1, steps):
        fresh[t] += correlation * fresh[t - 1]
    return fresh
