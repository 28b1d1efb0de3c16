"""Real periodic functions from their Fourier coefficients: on the grid, between its points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .reference_error import ReferenceSolutionError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_CHUNK = 256  # points at a time: 256 * 1025 modes are 4 MB


@dataclass(frozen=True)
class Modes:
    """The M = N/2 + 1 Fourier modes of real functions on N equispaced points of one period.

    Coefficients are those of ``numpy.fft.rfft``, ``[..., M]``. They stand for the trigonometric
    polynomial through the N values, the highest mode being a cosine.

    Attributes:
        interval: one period; the grid begins at its lower end and leaves out the upper one.
        points: N, even.

    Raises:
        ReferenceSolutionError: an odd or tiny N.
    """

    interval: tuple[float, float]
    points: int

    def __post_init__(self) -> None:
        if self.points < 4 or self.points % 2:
            raise ReferenceSolutionError(
                f"expected an even number of grid points >= 4, found {self.points}."
            )

    @property
    def length(self) -> float:
        """One period."""
        return self.interval[1] - self.interval[0]

    @cached_property
    def wavenumbers(self) -> Array:
        """``[M]`` angular wavenumbers."""
        numbers = np.arange(self.points // 2 + 1, dtype=np.float64)
        return 2 * np.pi / self.length * numbers

    def grid(self, points: int | None = None) -> Array:
        """``[points]`` equispaced positions of one period; N without an argument."""
        count = points or self.points
        return self.interval[0] + self.length / count * np.arange(count, dtype=np.float64)

    def coefficients(self, values: Array) -> Complex:
        """``[..., M]`` of values ``[..., N]`` on the grid."""
        return np.fft.rfft(values)

    def on_grid(self, coefficients: Complex, order: int = 0) -> Array:
        """``[..., N]`` values of the x-derivative of an order on the grid."""
        return np.fft.irfft(self.derivative(coefficients, order), self.points)

    def derivative(self, coefficients: Complex, order: int) -> Complex:
        """``[..., M]`` coefficients of the x-derivative of an order."""
        return coefficients * (1j * self.wavenumbers) ** order

    def at(self, coefficients: Complex, x: Array, order: int = 0) -> Array:
        """``[..., X]``: each function's x-derivative at every position ``[X]``."""
        out = np.empty((*coefficients.shape[:-1], len(x)))
        weighted = self._weighted(coefficients, order)
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            out[..., part] = (weighted @ self._waves(x[part]).T).real
        return out

    def pairwise(self, coefficients: Complex, x: Array, order: int = 0) -> Array:
        """``[X]``: the x-derivative of function i of ``[X, M]`` at position i of ``[X]``."""
        weighted = self._weighted(coefficients, order)
        found: Array = np.einsum("xm,xm->x", weighted, self._waves(x)).real
        return found

    def _waves(self, x: Array) -> Complex:
        return np.exp(1j * np.multiply.outer(x - self.interval[0], self.wavenumbers))

    def _weighted(self, coefficients: Complex, order: int) -> Complex:
        weights = np.full(len(self.wavenumbers), 2.0 / self.points)
        weights[[0, -1]] /= 2  # these two have no mirror image at a negative wavenumber
        return weights * self.derivative(coefficients, order)
