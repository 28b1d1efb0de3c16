"""A semilinear equation with periodic boundaries as a reference."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike

from . import etdrk4, fourier
from .cache import stored
from .etdrk4 import Equation, symbol_values
from .evolution import Evolution
from .fourier import Array, Complex
from .reference_error import ReferenceSolutionError
from .solution import GRID_POSITIONS, GRID_TIMES, Reference

FRAMES_PER_INTERVAL = 4  # stored frames per interval of the test grid's times; see Evolution


@dataclass(frozen=True, eq=False, kw_only=True)
class PeriodicReference(Reference):
    """Fourier ETDRK4, solved once and kept on disk, then evaluated anywhere.

    Exact interpolation in x; in t exact at 401 frames, which include the test grid's times, and a
    quintic spline between them. At the first time the main output is the initial function itself.
    Where the periodic extension of that has a kink (Allen-Cahn at the ends), the truncated series
    is off by up to 4e-4 there until the highest modes have decayed, long before the second time
    of the test grid.

    Attributes:
        equation: what is solved.
        identity: every number and expression of the equation as text; names the stored solution.

    Raises:
        ReferenceSolutionError: the frames are not at whole steps.
    """

    equation: Equation
    identity: str

    def __post_init__(self) -> None:
        super().__post_init__()
        intervals = FRAMES_PER_INTERVAL * (GRID_TIMES - 1)
        duration = self.strip.duration
        stride = round(duration / (self.step * intervals))
        if stride < 1 or abs(stride * intervals * self.step - duration) > 1e-9 * duration:
            raise ReferenceSolutionError(
                f"expected a time step that divides {duration:g}/{intervals}, found {self.step:g}."
            )

    @property
    def positions(self) -> Array:
        """``[256]`` equispaced positions of one period, the upper end left out."""
        return self.modes.grid(GRID_POSITIONS)

    def grid(self) -> tuple[Array, dict[str, Array]]:
        x, t = self.positions, self.times
        found = {}
        for output in self.outputs:
            rows = self._evolutions[output].frames[::FRAMES_PER_INTERVAL]
            found[output] = self.modes.at(rows, x)
        found[self.main][0] = self.equation.initial(x)
        return self.strip.product(x, t), {name: u.ravel() for name, u in found.items()}

    def values(self, points: ArrayLike) -> dict[str, Array]:
        x, t = self.strip.split(points)
        found = {name: self._at(name, x, t, 0) for name in self.outputs}
        first = t == self.strip.time[0]
        found[self.main][first] = self.equation.initial(x[first])
        return found

    def derivatives(self, points: ArrayLike, output: str, order: int) -> Array:
        """``[N]``: the x-derivative of an order of an output at points ``[N, 2]``.

        Raises:
            ReferenceSolutionError: bad points, an unknown output, a negative order.
        """
        if order < 0:
            raise ReferenceSolutionError(f"expected an order >= 0, found {order}.")
        return self._at(self.known(output), *self.strip.split(points), order)

    def frames(self, steps: Sequence[int]) -> Complex:
        wanted = [int(n) for n in steps]
        key = {"equation": self.identity, "solver": _solver_digest(), "steps": wanted}
        return stored(
            json.dumps(key), lambda: etdrk4.solve(self.equation, self.modes, self.step, wanted)
        )

    def _at(self, output: str, x: Array, t: Array, order: int) -> Array:
        return self._evolutions[output].at(x, t - self.strip.time[0], order)

    @cached_property
    def _evolutions(self) -> dict[str, Evolution]:
        last = round(self.strip.duration / self.step)
        steps = range(0, last + 1, last // (FRAMES_PER_INTERVAL * (GRID_TIMES - 1)))
        solved = {self.main: self.frames(steps)}
        for name, auxiliary in self.auxiliary.items():
            solved[name] = auxiliary.coefficients(
                self.modes, solved[self.main], self.strip.coordinate
            )
        times = self.step * np.asarray(steps, dtype=np.float64)
        decay = np.maximum(-symbol_values(self.equation.linear, self.modes).real, 0.0)
        return {name: Evolution(self.modes, times, c, decay) for name, c in solved.items()}


@cache
def _solver_digest() -> str:
    sources = "".join(inspect.getsource(module) for module in (etdrk4, fourier))
    return hashlib.sha256(sources.encode()).hexdigest()[:16]
