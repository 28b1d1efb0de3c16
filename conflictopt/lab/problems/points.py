"""The points of one run: the same for every method."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .geometry import Array
from .regions import Place, Points, even_counts, sample
from .solution import Solution
from .spec import ProblemSpec


@dataclass(frozen=True)
class SharedPoints:
    """Points that members share.

    Attributes:
        points: where.
        data: per observed output its noisy values ``[n]``, at sensors.
    """

    points: Points
    data: Mapping[str, Array]

    @property
    def count(self) -> int:
        """n, the number of points; of a periodic pair the number of pairs."""
        return len(self.points.x)


@dataclass(frozen=True)
class RunPoints:
    """All points of a run.

    Attributes:
        blocks: per loss and place its points. Losses in the interior share them; one with fewer
            points has the first ones.
    """

    blocks: Mapping[tuple[str, Place], SharedPoints]

    def counts(self) -> dict[str, int]:
        """Number of points per loss."""
        found: dict[str, int] = {}
        for (loss, _), block in self.blocks.items():
            found[loss] = found.get(loss, 0) + block.count
        return found


def draw(spec: ProblemSpec, solution: Solution, counts: Mapping[str, int], seed: int) -> RunPoints:
    """Draw the points of a run.

    Args:
        spec: the problem.
        solution: for the values at the sensors.
        counts: number of points per loss.
        seed: of the run. Sensors and their noise have a seed of their own: the measurements of
            a problem are the same for all runs.
    """
    rng = np.random.default_rng([seed, zlib.crc32(spec.id.encode())])
    located = [
        (loss.name, place, n)
        for loss in spec.losses
        for place, n in zip(loss.places, even_counts(counts[loss.name], loss.places), strict=True)
    ]
    inside = max((n for _, place, n in located if place.kind == "interior"), default=0)
    interior = spec.geometry.interior(inside, rng) if inside else None
    shared: dict[int, SharedPoints] = {}
    blocks: dict[tuple[str, Place], SharedPoints] = {}
    for loss, place, n in located:
        if place.kind == "interior" and interior is not None:
            blocks[loss, place] = shared.setdefault(n, SharedPoints(Points(interior[:n]), {}))
        elif place.kind == "sensors":
            blocks[loss, place] = _measured(spec, solution, n)
        else:
            blocks[loss, place] = SharedPoints(sample(place, spec.geometry, n, rng), {})
    return RunPoints(blocks)


def _measured(spec: ProblemSpec, solution: Solution, n: int) -> SharedPoints:
    """Sensors, uniform in the domain, and the exact values there with Gaussian noise."""
    sensors = spec.sensors
    assert sensors is not None
    rng = np.random.default_rng(sensors.seed)
    x = spec.geometry.interior(n, rng)
    exact = solution.values(x)
    data = {}
    for output in sensors.observed:
        spread = sensors.noise * float(np.std(exact[output]))
        data[output] = exact[output] + spread * rng.standard_normal(n)
    return SharedPoints(Points(x), data)
