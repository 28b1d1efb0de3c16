"""Semilinear equations on a periodic interval, by Fourier series and exponential time steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fourier import Complex, Modes
from .reference_error import ReferenceSolutionError

Function = Callable[[NDArray[np.float64]], Any]  # an array of the argument's shape, or a number

_CONTOUR = np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)


@dataclass(frozen=True, eq=False)
class Equation:
    """``d/dt u^(k) = linear(k) u^(k) + nonlinear(k) FFT[pointwise(u)](k)``, periodic in x.

    Attributes:
        linear, nonlinear: symbols, functions of the wavenumber ``k = 2 pi n / length``.
        pointwise: function of u.
        initial: function of x.
        oversample: the initial Fourier coefficients come from a grid as many times finer than
            the N points of the solution, cut at N/2, which keeps a kink of the periodic
            extension from being aliased.

    Raises:
        ReferenceSolutionError: an oversample that is not positive.
    """

    linear: Function
    nonlinear: Function
    pointwise: Function
    initial: Function
    oversample: int = 1

    def __post_init__(self) -> None:
        if self.oversample < 1:
            raise ReferenceSolutionError(f"expected an oversample >= 1, found {self.oversample}.")

    def start(self, modes: Modes) -> Complex:
        """``[M]`` Fourier coefficients of the initial function."""
        x = modes.grid(modes.points * self.oversample)
        values = np.broadcast_to(self.initial(x), x.shape)
        coefficients = np.fft.rfft(values)[: len(modes.wavenumbers)] / self.oversample
        if self.oversample > 1:
            coefficients[-1] = 0.0  # it would stand for a sine as well, which the grid cannot hold
        return coefficients

    def forcing(self, modes: Modes) -> Callable[[Complex], Complex]:
        """The nonlinear term ``[M]`` as a function of a solution's coefficients ``[M]``."""
        symbol = symbol_values(self.nonlinear, modes)

        def term(coefficients: Complex) -> Complex:
            u = np.fft.irfft(coefficients, modes.points)
            return symbol * np.fft.rfft(np.broadcast_to(self.pointwise(u), u.shape))

        return term


def symbol_values(symbol: Function, modes: Modes) -> Complex:
    """A symbol's ``[M]`` values."""
    values = np.asarray(symbol(modes.wavenumbers), dtype=np.complex128)
    values = np.broadcast_to(values, modes.wavenumbers.shape).copy()
    values[-1] = values[-1].real  # odd derivatives of the highest mode vanish on the grid
    return values


def solve(equation: Equation, modes: Modes, step: float, steps: Sequence[int]) -> Complex:
    """Fourier coefficients after the given numbers of time steps.

    The fourth-order scheme ETDRK4; its coefficients, which cancel badly near ``h L = 0``, are
    means over 32 points of the unit circle around ``h L``.

    Source: Cox, Matthews, J. Comput. Phys. 176 (2002) 430, eqs. (26) to (29); contour means:
        Kassam, Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214. The full circle instead of their
        half, because L may be complex (advection).

    Args:
        equation: what to solve.
        modes: Fourier modes of the solution.
        step: of time, h.
        steps: S numbers of steps >= 0, increasing.

    Returns:
        ``[S, M]``, of ``numpy.fft.rfft``.

    Raises:
        ReferenceSolutionError: a step that is not positive, numbers of steps that do not increase
            from 0, or values that are not finite.
    """
    if not step > 0:
        raise ReferenceSolutionError(f"expected a time step > 0, found {step}.")
    if len(steps) == 0 or steps[0] < 0 or any(b <= a for a, b in pairwise(steps)):
        raise ReferenceSolutionError(f"expected increasing numbers of steps, found {list(steps)}.")
    advance = _stepper(equation, modes, step)
    found = np.empty((len(steps), len(modes.wavenumbers)), dtype=np.complex128)
    state, done = equation.start(modes), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for row, wanted in enumerate(steps):
            for _ in range(wanted - done):
                state = advance(state)
            found[row], done = state, wanted
            if not np.isfinite(state).all():
                raise ReferenceSolutionError(
                    f"the solution is not finite at t={wanted * step:g}; expected a time step "
                    f"short enough for the nonlinear term, found dt={step:g}: halve it."
                )
    return found


def _stepper(equation: Equation, modes: Modes, h: float) -> Callable[[Complex], Complex]:
    forcing = equation.forcing(modes)
    exponent = h * symbol_values(equation.linear, modes)
    whole, half = np.exp(exponent), np.exp(exponent / 2)
    z = exponent[:, None] + _CONTOUR
    e = np.exp(z)
    q = h * ((np.exp(z / 2) - 1) / z).mean(axis=1)
    f1 = h * ((-4 - z + e * (4 - 3 * z + z**2)) / z**3).mean(axis=1)
    f2 = 2 * h * ((2 + z + e * (z - 2)) / z**3).mean(axis=1)
    f3 = h * ((-4 - 3 * z - z**2 + e * (4 - z)) / z**3).mean(axis=1)

    def advance(u: Complex) -> Complex:
        at_u, decayed = forcing(u), half * u
        a = decayed + q * at_u
        at_a = forcing(a)
        at_b = forcing(decayed + q * at_a)
        at_c = forcing(half * a + q * (2 * at_b - at_u))
        new: Complex = whole * u + f1 * at_u + f2 * (at_a + at_b) + f3 * at_c
        return new

    return advance
