"""Coefficients and gradients -> ``.grad``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import NonFiniteError
from .gradients import GradientSource
from .graphs import backward
from .layout import ParameterLayout
from .losses import Losses
from .torch_internals import all_finite


def apply(source: GradientSource, coefficients: Tensor) -> Tensor:
    """Accumulate ``sum_k C[k, b] * dL_k/dtheta_b`` into ``.grad``.

    Rows are used if they were read, or if blockwise coefficients would cost more backward passes
    than rows do; else backward passes of weighted sums.

    Args:
        source: the losses of this step.
        coefficients: ``[K]`` for all blocks alike, or ``[K, B]``.

    Returns:
        The detached value whose gradient it is; for blocks that differ, which have no such value,
        the plain sum.

    Raises:
        NonFiniteError: the gradient is infinite or NaN; the message names the losses.
    """
    c, layout = coefficients, source.layout
    columns = 1 if c.ndim == 1 else len({tuple(column) for column in c.T.tolist()})
    if columns == 1 and c.ndim == 2:
        c = c[:, 0]
    if columns > 2 or (source.has_rows and not source.plain):
        accumulate_rows(source, c)
        return source.total(c if columns == 1 else None)
    losses = source.losses()
    if columns == 2:
        backward_blocks(losses, layout, c)
        value = source.total(None)
    else:
        unit = all(v == 1 for v in c.tolist())
        value = backward_total(losses, layout, None if unit else c)
    if source.finite:
        check_grads(layout, source.objective.names)
    return value


def backward_total(losses: Losses, layout: ParameterLayout, coefficients: Tensor | None) -> Tensor:
    """Accumulate the gradient of ``sum_k c_k L_k`` into ``.grad`` by one backward pass.

    Args:
        coefficients: ``[K]``, or ``None`` for the plain sum: the same operations in the same
            order as ``sum(losses).backward()``, hence the same bits.

    Returns:
        The detached value of the sum.
    """
    total = losses.total(coefficients)
    backward(total, layout.params)
    return total.detach()


def backward_blocks(losses: Losses, layout: ParameterLayout, coefficients: Tensor) -> None:
    """Accumulate ``sum_k C[k, b] * dL_k/dtheta_b`` by one backward pass per different column.

    Args:
        coefficients: ``[K, B]``.
    """
    alike: dict[tuple[float, ...], list[int]] = {}
    for b, column in enumerate(coefficients.T.tolist()):
        alike.setdefault(tuple(column), []).append(b)
    for i, members in enumerate(alike.values(), start=1):
        inputs = tuple(p for b in members for p in layout.members(layout.blocks[b]))
        backward(losses.total(coefficients[:, members[0]]), inputs, retain_graph=i < len(alike))


def accumulate_rows(source: GradientSource, coefficients: Tensor) -> None:
    """Accumulate ``sum_k C[k, b] * row_k`` into ``.grad``, block by block.

    Args:
        coefficients: ``[K]`` for all blocks alike, or ``[K, B]``.

    A parameter that no loss touches keeps ``grad`` None, as after ``backward()``.

    Raises:
        NonFiniteError: the result is infinite or NaN; the message names the losses.
    """
    layout, rows = source.layout, source.rows()
    if coefficients.ndim == 1:
        flat = coefficients @ rows
    else:
        flat = torch.empty_like(rows[0])
        for block, c in zip(layout.blocks, coefficients.T, strict=True):
            torch.mv(rows[:, block.columns].T, c, out=flat[block.columns])
    _accumulate(source, flat, source.reached())


def accumulate_direction(source: GradientSource, direction: Tensor) -> None:
    """Accumulate a direction that a method made of the rows, and the fixed terms' gradient.

    Args:
        direction: ``[P]``.

    A parameter that no loss touches keeps ``grad`` None if the rows were read.

    Raises:
        NonFiniteError: the result is infinite or NaN; the message names the losses.
    """
    everything = [True] * len(source.layout.params)
    reached = source.reached() if source.has_rows else everything
    _accumulate(source, direction.clone(), reached)


def _accumulate(source: GradientSource, flat: Tensor, reached: Sequence[bool]) -> None:
    layout, fixed = source.layout, source.fixed_row()
    if fixed is not None:
        flat += fixed
    # a sum is quicker than a look at each, and infinite or NaN if one of them is
    if source.finite and not math.isfinite(flat.sum().item()) and not all_finite([flat]):
        if source.has_rows:
            source.check()
        _refuse(source.objective.names)
    for p, g, used in zip(layout.params, layout.split(flat), reached, strict=True):
        if used:
            p.grad = g if p.grad is None else p.grad + g


def check_grads(layout: ParameterLayout, names: Sequence[str]) -> None:
    """Check every ``.grad``.

    Raises:
        NonFiniteError: some gradient is infinite or NaN.
    """
    grads = [p.grad for p in layout.params if p.grad is not None]
    if grads and not all_finite(grads):
        _refuse(names)


def _refuse(names: Sequence[str]) -> None:
    raise NonFiniteError(
        f"expected finite gradients, found inf or nan in that of the sum of {', '.join(names)} "
        "although the losses are finite."
    )
