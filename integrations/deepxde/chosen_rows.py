"""Evaluates the losses of a PDE problem on some of the training points, and on no others.

As in ``apart``, DeepXDE's own ``losses`` runs on a view of the problem: one that holds the chosen
points alone, with the values and normals that belong to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conflictopt.curvature.batch import draw_numbers

from .apart import FUNCTION_OF_RANGE, copied, losses_of_view
from .drawable import PAIRED, Drawable, Stratum, starts_of
from .hook import watched


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
    source: Drawable, columns: Sequence[int], rows: int | None, generator: torch.Generator
) -> RowChoice:
    """Draw points of the equation and of every condition, in proportion to how many there are.

    All equations get the same points, so that the network is evaluated there once. Points of a pool
    are drawn in the proportions of the script; more than it has, where more rows are wanted.

    Args:
        source: what they are drawn from.
        columns: per loss entry how many residuals it has for a row: equations, then conditions.
        rows: how many residuals in all, about; ``None`` for as many as the script has.
        generator: draws them.
    """
    equations = len(columns) - len(source.conditions)
    own = [sum(columns[:equations]), *columns[equations:]]
    strata = [source.equation, *((s,) for s in source.conditions)]
    entries = sum(s.usual * m for part, m in zip(strata, own, strict=True) for s in part)
    share = 1.0 if rows is None else rows / max(1, entries)
    drawn = [[_drawn(s, share, generator) for s in part] for part in strata]
    counts = [n // 2 for n in source.data.num_bcs]
    chosen = [
        np.concatenate([index, index + n]) if isinstance(c, PAIRED) else index
        for c, n, (index,) in zip(source.data.bcs, counts, drawn[1:], strict=True)
    ]
    equation = np.sort(np.concatenate(drawn[0])) if drawn[0] else None
    return RowChoice(equation, tuple(chosen))


def residual_rows(choice: RowChoice, data: Any, equations: int) -> list[Any]:
    """Per loss entry which rows of its residual, on all points, those of the choice are."""
    start = starts_of(data)[-1]
    own = [
        index[: len(index) // 2] if isinstance(c, PAIRED) else index
        for c, index in zip(data.bcs, choice.conditions, strict=True)
    ]
    return [choice.equation - start] * equations + own


def evaluate_chosen(
    model: Any, source: Drawable, loss_fn: Any, choice: RowChoice
) -> tuple[list[Tensor], list[Tensor]]:
    """The unweighted losses on the chosen points, in DeepXDE's order, and the residuals.

    Args:
        model: the model.
        source: the points that were chosen from.
        loss_fn: the loss function, or one per entry.
        choice: of these points.
    """
    data, batch = source.data, source.batch
    before = getattr(model.net, "auxiliary_vars", None)
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
        model.net.auxiliary_vars = before
    return entries, residuals


def _equation(data: Any) -> Any:
    view = copied(data)
    view.bcs, view.num_bcs = [], []
    return view


def _conditions(data: Any, points: Any, choice: RowChoice) -> tuple[Any, Any]:
    """The problem reduced to the chosen rows of its conditions, and which these are."""
    spans = list(pairwise(starts_of(data)))
    if not spans:
        return None, None
    view = copied(data)
    view.pde, view.num_bcs, view.bcs = None, [len(index) for index in choice.conditions], []
    picked = zip(data.bcs, spans, choice.conditions, starts_of(view)[:-1], strict=True)
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


def _drawn(stratum: Stratum, share: float, generator: torch.Generator) -> Any:
    drawn = draw_numbers(len(stratum.rows), stratum.usual, share, generator)
    return stratum.rows if drawn is None else stratum.rows[drawn.numpy()]
