"""Which points of a problem batches are drawn from: its own, or a pool of fresh ones.

A pool is drawn by DeepXDE itself, on a copy of the problem that asks for more points of the same
distribution. What the script gives point by point, anchors and measurements, is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import deepxde as dde
import numpy as np

from conflictopt.auto.random_states import RandomStates

from .apart import copied
from .hook import Batch

TIMES = 8
"""Points of a pool for each point of the script, at most."""
_NUMBERS = ("num_domain", "num_boundary", "num_initial")
_DRAWING = ("train_next_batch", "train_points", "bc_points")
_POINTS = ("train_x", "train_y", "train_aux_vars", "train_x_all", "train_x_bc", "num_bcs")

PAIRED = (dde.icbc.PeriodicBC, dde.icbc.Interface2DBC)
"""Conditions whose residual i stands between the points i of two halves."""


@dataclass(frozen=True)
class Stratum:
    """Points that are drawn alike.

    Attributes:
        rows: ``[n]`` their numbers.
        usual: how many of them the script has.
    """

    rows: Any
    usual: int


@dataclass(frozen=True)
class Drawable:
    """Points that batches are drawn from.

    Attributes:
        data: the problem, or a copy that holds a pool.
        equation: rows of its training points; empty without an equation.
        conditions: per condition rows among its own points, of pairs those of the first half.
    """

    data: Any
    equation: tuple[Stratum, ...]
    conditions: tuple[Stratum, ...]

    @property
    def batch(self) -> Batch:
        """All of them, as DeepXDE hands them to its training step."""
        return self.data.train_x, self.data.train_y, self.data.train_aux_vars


def starts_of(data: Any) -> list[int]:
    """The rows at which the conditions' points begin, and those of the equation."""
    return [0, *(int(n) for n in np.cumsum(data.num_bcs))]


def own_points(data: Any) -> Drawable:
    """The points of a problem as they are."""
    equation = np.arange(starts_of(data)[-1], len(data.train_x))
    counts = [_points(c, n) for c, n in zip(data.bcs, data.num_bcs, strict=True)]
    return Drawable(
        data,
        (Stratum(equation, len(equation)),) if data.pde is not None else (),
        tuple(Stratum(np.arange(n), n) for n in counts),
    )


def obstacle_to_fresh(data: Any) -> str | None:
    """Why no fresh points can be drawn for a problem; ``None`` if they can."""
    kind = type(data)
    for name in _DRAWING:
        own = {getattr(k, name) for k in (dde.data.PDE, dde.data.TimePDE)}
        if getattr(kind, name) not in own or name in vars(data):
            return f"{kind.__name__} draws its points in a way of its own"
    if dde.config.hvd is not None:
        return "they are divided among processes"
    if any(getattr(c, "batch_size", None) is not None for c in data.bcs):
        return "a condition takes its measurements in batches"
    if not any(getattr(data, name, 0) for name in _NUMBERS) or _kept(data).all():
        return "all of them are given by the script"
    first, second = (_drawn(data, 1, skipped).train_x_all for skipped in range(2))
    told = "they are not those that DeepXDE draws for the problem"
    if data.exclusions is None and len(first) != len(data.train_x_all):
        return told
    # where drawing is not random, it gives the points that there are
    if _same(first, second) and not _same(first, data.train_x_all):
        return told
    return None


def fresh_points(data: Any, times: int = TIMES) -> Drawable:
    """A pool of so many times the points, of the same distribution; no random state is moved."""
    pool = _drawn(data, times)
    begin = starts_of(pool)[-1]
    kept, before = _kept(pool), _kept(data)
    equation = [
        Stratum(begin + np.flatnonzero(kept), int(before.sum())),
        Stratum(begin + np.flatnonzero(~kept), int((~before).sum())),
    ]
    spans = pairwise(starts_of(pool))
    usual = [_points(c, n) for c, n in zip(data.bcs, data.num_bcs, strict=True)]
    conditions = [
        Stratum(_distinct(c, pool.train_x[a:b]), n)
        for c, (a, b), n in zip(pool.bcs, spans, usual, strict=True)
    ]
    present = tuple(s for s in equation if len(s.rows)) if data.pde is not None else ()
    return Drawable(pool, present, tuple(conditions))


def origin(data: Any) -> tuple[Any, ...]:
    """What a pool depends on: while it is the same, so is the pool."""
    numbers = [getattr(data, name, 0) for name in _NUMBERS]
    return (*numbers, id(data), id(data.anchors), *map(id, data.bcs))


def _drawn(data: Any, times: int, skipped: int = 0) -> Any:
    """A copy of a problem with so many times its points; global random states stay.

    Args:
        data: the problem.
        times: as many points.
        skipped: random numbers that are skipped before, for other points where they are random.
    """
    before = RandomStates()
    np.random.random(skipped)  # noqa: NPY002  (the state that DeepXDE draws from)
    made = copied(data)
    for name in _NUMBERS:
        if hasattr(data, name):
            setattr(made, name, times * getattr(data, name))
    for name in (*_POINTS, "soln"):
        setattr(made, name, None)
    try:
        made.train_next_batch()
    finally:
        before.restore()
    return made


def _kept(data: Any) -> Any:
    """Which of the equation's points are given by the script."""
    if data.anchors is None:
        return np.zeros(len(data.train_x_all), dtype=bool)
    given = {row.tobytes() for row in np.ascontiguousarray(data.anchors)}
    points = np.ascontiguousarray(data.train_x_all)
    return np.array([row.tobytes() in given for row in points], dtype=bool)


def _same(a: Any, b: Any) -> bool:
    """Whether points are the same, in whatever order."""
    return np.array_equal(np.unique(a, axis=0), np.unique(b, axis=0))


def _distinct(condition: Any, points: Any) -> Any:
    """The first row of each point: a boundary of few points has them many times in a pool."""
    if isinstance(condition, (dde.icbc.PointSetBC, dde.icbc.PointSetOperatorBC)):
        return np.arange(len(points))
    count = _points(condition, len(points))
    pairs = np.hstack(np.split(points, 2)) if isinstance(condition, PAIRED) else points
    return np.sort(np.unique(pairs, axis=0, return_index=True)[1]) if count else np.arange(0)


def _points(condition: Any, count: int) -> int:
    """How many residual rows a condition has on so many points."""
    return count // 2 if isinstance(condition, PAIRED) else count
