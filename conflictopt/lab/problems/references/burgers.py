"""The viscous Burgers equation as a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .cole_hopf import cole_hopf
from .fourier import Array, Complex
from .solution import GRID_POSITIONS, Reference


@dataclass(frozen=True, eq=False, kw_only=True)
class BurgersReference(Reference):
    """Cole-Hopf quadrature wherever it is asked for.

    Attributes:
        viscosity: nu.
        nodes: of the quadrature.
    """

    viscosity: float
    nodes: int

    @property
    def positions(self) -> Array:
        """``[256]`` equispaced positions, both ends included."""
        return np.linspace(*self.strip.space, GRID_POSITIONS)

    def grid(self) -> tuple[Array, dict[str, Array]]:
        points = self.strip.product(self.positions, self.times)
        return points, self.values(points)

    def values(self, points: ArrayLike) -> dict[str, Array]:
        x, t = self.strip.split(points)
        elapsed = t - self.strip.time[0]
        return {self.main: cole_hopf(x, elapsed, self.viscosity, self.nodes)}

    def frames(self, steps: Sequence[int]) -> Complex:
        x = np.tile(self.modes.grid(), len(steps))
        t = np.repeat(self.step * np.asarray(steps, dtype=np.float64), self.modes.points)
        u = cole_hopf(x, t, self.viscosity, self.nodes)
        return self.modes.coefficients(u.reshape(len(steps), self.modes.points))
