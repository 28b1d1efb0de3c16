"""Where the inputs live: a box, or a ball or annulus in space times an interval in time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi, norm, qmc

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Geometry(ABC):
    """The domain of a problem.

    Attributes:
        names: the d inputs.
        lower, upper: the corners of the bounding box.
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @property
    def space(self) -> list[int]:
        """Numbers of the space inputs: all but ``t``."""
        return [i for i, n in enumerate(self.names) if n != "t"]

    def interior(self, n: int, rng: np.random.Generator) -> Array:
        """N points ``[n, d]`` of a Latin hypercube design in the domain."""
        unit = latin_hypercube(n, len(self.names), rng)
        low, high = np.array(self.lower), np.array(self.upper)
        points: Array = low + unit * (high - low)
        points[:, self.space] = self.place(unit[:, self.space])
        return points

    @abstractmethod
    def place(self, unit: Array) -> Array:
        """Uniform points of the space domain from uniform points of the unit cube."""


@dataclass(frozen=True)
class Box(Geometry):
    """The bounding box itself."""

    def place(self, unit: Array) -> Array:
        low, high = (np.array(v)[self.space] for v in (self.lower, self.upper))
        placed: Array = low + unit * (high - low)
        return placed


@dataclass(frozen=True)
class Shell(Geometry):
    """What lies between two concentric spheres; a ball if the inner radius is 0.

    Attributes:
        centre: of both.
        inner, outer: radii.
    """

    centre: tuple[float, ...]
    inner: float
    outer: float

    def place(self, unit: Array) -> Array:
        m = unit.shape[1]
        if m == 2:  # two coordinates are just a radius and an angle
            radius = np.sqrt(self.inner**2 + unit[:, 0] * (self.outer**2 - self.inner**2))
            return self._at(radius, _circle(unit[:, 1]))
        # a Gaussian's direction is uniform, and its chi-squared quantile gives the radius
        directions = norm.ppf(np.clip(unit, 1e-12, 1 - 1e-12))
        length = np.linalg.norm(directions, axis=1)
        level = chi.cdf(length, df=m)
        radius = (self.inner**m + level * (self.outer**m - self.inner**m)) ** (1 / m)
        return self._at(radius, directions / length[:, None])

    def sphere(self, radius: float, points: Array) -> Array:
        """Points of the domain moved radially onto a sphere around the centre."""
        moved = points.copy()
        moved[:, self.space] = self._at(np.full(len(points), radius), self.directions(points))
        return moved

    def directions(self, points: Array) -> Array:
        """Unit vectors ``[n, m]`` from the centre to the points, in space."""
        offset = points[:, self.space] - np.array(self.centre)
        unit: Array = offset / np.linalg.norm(offset, axis=1, keepdims=True)
        return unit

    def _at(self, radius: Array, directions: Array) -> Array:
        placed: Array = np.array(self.centre) + radius[:, None] * directions
        return placed


def latin_hypercube(n: int, d: int, rng: np.random.Generator) -> Array:
    """N points ``[n, d]`` in the unit cube, one in each of n equal slices of every axis."""
    sample: Array = qmc.LatinHypercube(d, rng=rng).random(n)
    return sample


def _circle(unit: Array) -> Array:
    angle = 2 * np.pi * unit
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
