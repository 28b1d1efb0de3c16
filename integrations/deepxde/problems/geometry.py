"""A problem's domain as a DeepXDE geometry."""

from __future__ import annotations

from typing import Any

import deepxde as dde

from conflictopt.lab.problems.geometry import Geometry, Shell


def geometry_of(geometry: Geometry) -> Any:
    """The space domain, times the time interval if there is one; time is the last input."""
    space = geometry.space
    lower, upper = ([v[i] for i in space] for v in (geometry.lower, geometry.upper))
    made = _shell(geometry) if isinstance(geometry, Shell) else _box(lower, upper)
    if "t" not in geometry.names:
        return made
    return dde.geometry.GeometryXTime(
        made, dde.geometry.TimeDomain(geometry.lower[-1], geometry.upper[-1])
    )


def _box(lower: list[float], upper: list[float]) -> Any:
    if len(lower) == 1:
        return dde.geometry.Interval(lower[0], upper[0])
    kinds = {2: dde.geometry.Rectangle, 3: dde.geometry.Cuboid}
    return kinds.get(len(lower), dde.geometry.Hypercube)(lower, upper)


def _shell(geometry: Shell) -> Any:
    kinds = {2: dde.geometry.Disk, 3: dde.geometry.Sphere}
    ball = kinds.get(len(geometry.space), dde.geometry.Hypersphere)
    centre = list(geometry.centre)
    outer = ball(centre, geometry.outer)
    if not geometry.inner:
        return outer
    return dde.geometry.CSGDifference(outer, ball(centre, geometry.inner))
