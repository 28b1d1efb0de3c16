"""Where conditions hold, and points there with their outward normals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .geometry import Array, Geometry, Shell

Kind = Literal["interior", "sensors", "faces", "spheres", "pair"]


@dataclass(frozen=True)
class Place:
    """A set of points that conditions share.

    Attributes:
        kind: ``interior``; ``sensors``; ``faces`` of coordinate planes; ``spheres`` (circles in
            two dimensions); or a periodic ``pair`` of opposite faces.
        label: as the specification writes it, for messages and as identity within a problem.
        faces: per face the number of its input, its value and the sign of the outward normal
            (0 for a plane inside the domain, or in time); for a pair the two faces.
        spheres: per sphere its radius and the sign of the outward normal.
    """

    kind: Kind
    label: str
    faces: tuple[tuple[int, float, int], ...] = ()
    spheres: tuple[tuple[float, int], ...] = ()

    @property
    def has_normal(self) -> bool:
        """Whether an outward normal is defined on it."""
        signs = [s for *_, s in self.faces] + [s for _, s in self.spheres]
        return self.kind in ("faces", "spheres") and all(s != 0 for s in signs)

    @property
    def minimum(self) -> int:
        """The least number of points: one on every face."""
        return max(len(self.faces) if self.kind == "faces" else 1, len(self.spheres), 1)


@dataclass(frozen=True)
class Points:
    """Points at one place.

    Attributes:
        x: ``[n, d]``.
        partner: of a periodic pair the points ``[n, d]`` on the opposite face, else ``None``.
        normal: outward unit normals ``[n, m]`` over the space inputs, else ``None``.
    """

    x: Array
    partner: Array | None = None
    normal: Array | None = None


def sample(place: Place, geometry: Geometry, n: int, rng: np.random.Generator) -> Points:
    """N points at a place, a Latin hypercube design; at least one on every face.

    Args:
        place: on the boundary; interior points are shared, and sensors belong to the data.
        geometry: the domain.
        n: number of points; of a periodic pair the number of pairs.
        rng: random source.
    """
    n = max(n, place.minimum)
    x = geometry.interior(n, rng)
    if place.kind == "pair":
        (i, low, _), (_, high, _) = place.faces
        first, second = x.copy(), x.copy()
        first[:, i], second[:, i] = low, high
        return Points(first, partner=second)
    if place.kind == "faces":
        return _on_faces(place, geometry, x)
    assert isinstance(geometry, Shell)
    normal = np.zeros((n, len(geometry.space)))
    for rows, (radius, sign) in zip(even_parts(n, len(place.spheres)), place.spheres, strict=True):
        x[rows] = geometry.sphere(radius, x[rows])
        normal[rows] = sign * geometry.directions(x[rows])
    return Points(x, normal=normal)


def _on_faces(place: Place, geometry: Geometry, x: Array) -> Points:
    normal = np.zeros((len(x), len(geometry.space)))
    for rows, (i, value, sign) in zip(
        even_parts(len(x), len(place.faces)), place.faces, strict=True
    ):
        x[rows, i] = value
        if sign:
            normal[rows, geometry.space.index(i)] = sign
    return Points(x, normal=normal if place.has_normal else None)


def even_parts(n: int, parts: int) -> list[slice]:
    """N rows in consecutive parts whose sizes differ by one at most."""
    ends = np.cumsum([n // parts + (i < n % parts) for i in range(parts)]).tolist()
    return [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def even_counts(n: int, places: Sequence[Place]) -> list[int]:
    """How many of n points lie at each place: evenly, but at least the minimum of each.

    The sum is n, or that of the minima if it is larger.
    """
    counts = [place.minimum for place in places]
    rest = max(n, sum(counts)) - sum(counts)
    for _ in range(rest):  # to the one with the fewest, the first among equals
        counts[counts.index(min(counts))] += 1
    return counts
