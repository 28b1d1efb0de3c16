"""Evaluates the losses of a PDE problem on some of the training points, and on no others.

As in ``apart``, DeepXDE's own ``losses`` runs on a view of the problem: one that holds the chosen
points alone, with the values and normals that belong to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import deepxde as dde
import numpy as np
import torch
from torch import Tensor

from conflictopt.curvature.batch import LEAST

from .apart import FUNCTION_OF_RANGE, copied, losses_of_view
from .hook import Batch, watched

_PAIRED = (dde.icbc.PeriodicBC, dde.icbc.Interface2DBC)
"""Conditions whose residual i stands between the points i of two halves."""


@dataclass(frozen=True)
class RowChoice:
    """Some of the training points.

    Attributes:
        equation: ``[k]`` rows of the training points; ``None`` without an equation.
        conditions: per condition the rows among its own points.
    """

    equation: Any
    conditions: tuple[Any, ...]


def choose(
    data: Any, columns: Sequence[int], rows: int | None, generator: torch.Generator
) -> RowChoice:
    """Draw points of the equation and of every condition, in proportion to how many there are.

    All equations get the same points, so that the network is evaluated there once.

    Args:
        data: the problem.
        columns: per loss entry how many residuals it has for a row: equations, then conditions.
        rows: how many residuals in all, about; ``None`` for all.
        generator: draws them.
    """
    starts = _starts(data)
    conditions = [_points(c, n) for c, n in zip(data.bcs, data.num_bcs, strict=True)]
    inside = len(data.train_x) - starts[-1] if data.pde is not None else 0
    equations = len(columns) - len(conditions)
    own = [sum(columns[:equations]), *columns[equations:]]
    counts = [inside, *conditions]
    entries = sum(n * m for n, m in zip(counts, own, strict=True))
    share = 1.0 if rows is None or entries <= rows else rows / entries
    drawn = [_drawn(n, share, generator) for n in counts]
    chosen = [
        np.concatenate([index, index + n]) if isinstance(c, _PAIRED) else index
        for c, n, index in zip(data.bcs, conditions, drawn[1:], strict=True)
    ]
    return RowChoice(starts[-1] + drawn[0] if data.pde is not None else None, tuple(chosen))


def residual_rows(choice: RowChoice, data: Any, equations: int) -> list[Any]:
    """Per loss entry which rows of its residual, on all points, those of the choice are."""
    start = _starts(data)[-1]
    own = [
        index[: len(index) // 2] if isinstance(c, _PAIRED) else index
        for c, index in zip(data.bcs, choice.conditions, strict=True)
    ]
    return [choice.equation - start] * equations + own


def evaluate_chosen(
    model: Any, batch: Batch, loss_fn: Any, choice: RowChoice
) -> tuple[list[Tensor], list[Tensor]]:
    """The unweighted losses on the chosen points, in DeepXDE's order, and the residuals.

    Args:
        model: the model.
        batch: all training points.
        loss_fn: the loss function, or one per entry.
        choice: of these points.
    """
    data = model.data
    entries: list[Tensor] = []
    residuals: list[Tensor] = []
    own = loss_fn if isinstance(loss_fn, (list, tuple)) else None
    equations = len(own) - len(data.bcs) if own is not None else 0
    parts = [
        (_equation(data), choice.equation, own and own[:equations]),
        (*_conditions(data, batch[0], choice), own and own[equations:]),
    ]
    if not model.net.training:
        model.net.train()
    for view, rows, fns in parts:
        if rows is not None and len(rows):
            used = watched(loss_fn if own is None else fns, residuals)
            entries += losses_of_view(model, view, batch, rows, used)
    if batch[2] is not None:
        model.net.auxiliary_vars = torch.as_tensor(batch[2])
    return entries, residuals


def _equation(data: Any) -> Any:
    view = copied(data)
    view.bcs, view.num_bcs = [], []
    return view


def _conditions(data: Any, points: Any, choice: RowChoice) -> tuple[Any, Any]:
    """The problem reduced to the chosen rows of its conditions, and which these are."""
    spans = list(pairwise(_starts(data)))
    if not spans:
        return None, None
    view = copied(data)
    view.pde, view.num_bcs, view.bcs = None, [len(index) for index in choice.conditions], []
    picked = zip(data.bcs, spans, choice.conditions, _starts(view)[:-1], strict=True)
    view.bcs = [_reduced(c, points, span, index, start) for c, span, index, start in picked]
    rows = [a + index for (a, _), index in zip(spans, choice.conditions, strict=True)]
    joined = np.concatenate(rows)
    view.train_x = points[joined]
    return view, joined


def _reduced(condition: Any, points: Any, span: tuple[int, int], index: Any, start: int) -> Any:
    """A condition on some of its points, whose rows in the view begin at ``start``.

    Values and normals are asked for on all of its points, as without a choice: DeepXDE remembers
    them by the identity of the points.
    """
    made = copied(condition)
    names = ["func"] if isinstance(condition, FUNCTION_OF_RANGE) else []
    names += ["boundary_normal"] if hasattr(condition, "boundary_normal") else []
    for name in names:
        original = getattr(condition, name)

        def at(_: Any, begin: int, end: int, aux: Any, original: Any = original) -> Any:
            return _rows(original(points, *span, aux), index[begin - start : end - start])

        setattr(made, name, at)
    if getattr(condition, "batch_size", None) is not None:
        made.batch_indices = np.asarray(condition.batch_indices)[index]
    elif hasattr(condition, "values"):
        made.values = _rows(condition.values, index)
    return made


def _rows(values: Any, index: Any) -> Any:
    """The values of some rows; a single value is that of all."""
    if isinstance(values, Tensor) and values.ndim and len(values) > 1:
        return values[torch.as_tensor(index, device=values.device)]
    return values


def _points(condition: Any, count: int) -> int:
    """How many residual rows a condition has on so many points."""
    return count // 2 if isinstance(condition, _PAIRED) else count


def _drawn(count: int, share: float, generator: torch.Generator) -> Any:
    wanted = max(min(count, LEAST), round(count * share))
    if wanted >= count:
        return np.arange(count)
    drawn = torch.randperm(count, generator=generator, device="cpu")[:wanted]
    return drawn.sort().values.numpy()


def _starts(data: Any) -> list[int]:
    starts = [0]
    for n in data.num_bcs:
        starts.append(starts[-1] + n)
    return starts
