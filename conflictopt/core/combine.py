"""Coefficients and gradients -> ``.grad``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import NonFiniteError
from .gradients import GradientSource
from .graphs import backward, check_seen_whole, walk
from .layout import ParameterLayout
from .leaves import check_reached, outside, points, trained
from .losses import Losses
from .torch_internals import accumulate_into, all_finite, leaf_hooks


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
        backward_blocks(source, c)
        value = source.total(None)
    else:
        unit = all(v == 1 for v in c.tolist())
        value = backward_total(losses) if unit else backward_weighted(source, c)
    if all(p.grad is None for p in layout.params):
        check_reached(losses.scalars(), layout.params)  # else a hook has taken them
    if source.finite:
        check_grads(layout, source.objective.names)
    return value


def backward_total(losses: Losses) -> Tensor:
    """Accumulate the gradient of the sum into ``.grad`` by one full backward pass.

    The same operations in the same order as ``sum(losses).backward()``, hence the same bits, of
    every leaf.

    Returns:
        The detached value of the sum.
    """
    total = losses.total()
    backward(total)
    return total.detach()


def backward_weighted(source: GradientSource, coefficients: Tensor) -> Tensor:
    """Accumulate the gradient of ``sum_k c_k L_k`` into ``.grad`` by one backward pass.

    It is a full one too, unless something else trains a leaf that the losses reach: that gets the
    plain sum's gradient, by a second pass.

    Args:
        coefficients: ``[K]``.

    Returns:
        The detached value.
    """
    losses, params = source.losses(), source.layout.params
    total = losses.total(coefficients)
    nodes, leaves = walk(total)
    others = outside(leaves, params)
    source.separate = trained(others)
    if source.separate:
        check_seen_whole(nodes)
        backward(losses.total(), source.separate, retain_graph=True)
        backward(total, (*params, *points(others)))
    else:
        backward(total)
    return total.detach()


def backward_blocks(source: GradientSource, coefficients: Tensor) -> None:
    """Accumulate ``sum_k C[k, b] * dL_k/dtheta_b`` by one backward pass per different column.

    Leaves that the optimizer does not hold get the plain sum's gradient.

    Args:
        coefficients: ``[K, B]``.
    """
    losses, layout = source.losses(), source.layout
    nodes, leaves = walk(*losses.scalars())
    check_seen_whole(nodes)
    source.separate = trained(outside(leaves, layout.params))
    inputs: dict[tuple[float, ...], list[Tensor]] = {}
    for block, column in zip(layout.blocks, coefficients.T.tolist(), strict=True):
        inputs.setdefault(tuple(column), []).extend(layout.members(block))
    if source.separate:
        inputs.setdefault((1.0,) * losses.count, []).extend(source.separate)
    for i, (column, members) in enumerate(inputs.items(), start=1):
        total = losses.total(coefficients.new_tensor(column))
        backward(total, tuple(members), retain_graph=i < len(inputs))


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
    each = zip(layout.params, layout.split(flat), reached, strict=True)
    pairs = [(p, g) for p, g, used in each if used] + source.beside
    if pairs:
        accumulate_into(*zip(*pairs, strict=True))
    if source.finite and any(map(leaf_hooks, layout.params)):
        check_grads(layout, source.objective.names)  # hooks have had their say


def check_grads(layout: ParameterLayout, names: Sequence[str]) -> None:
    """Check every ``.grad``.

    Raises:
        NonFiniteError: some gradient is infinite or NaN.
    """
    grads = [_numbers(p.grad) for p in layout.params if p.grad is not None]
    kinds = {(g.dtype, g.device) for g in grads}
    alike = [grads] if len(kinds) == 1 else [[g] for g in grads]
    if grads and not all(map(all_finite, alike)):
        _refuse(names)


def _numbers(grad: Tensor) -> Tensor:
    """What is stored of a gradient: of a sparse one its values, of a complex one its parts."""
    if grad.layout == torch.sparse_coo:
        grad = grad.coalesce().values()
    return torch.view_as_real(grad) if grad.is_complex() else grad


def _refuse(names: Sequence[str]) -> None:
    raise NonFiniteError(
        f"expected finite gradients, found inf or nan in that of the sum of {', '.join(names)} "
        "although the losses are finite."
    )
