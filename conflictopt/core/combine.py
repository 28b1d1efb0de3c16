"""Coefficients and gradients -> ``.grad``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from .errors import NonFiniteError
from .gradients import GradientSource
from .graphs import backward
from .layout import ParameterLayout
from .losses import Losses


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
    fixed = source.fixed_row()
    if fixed is not None:
        flat += fixed
    # a sum is quicker than a look at each, and infinite or NaN if one of them is
    if source.finite and not math.isfinite(flat.sum().item()) and not _all_finite([flat]):
        source.check()
        _refuse(source.objective.names)
    for p, g, used in zip(layout.params, layout.split(flat), source.reached(), strict=True):
        if used:
            p.grad = g if p.grad is None else p.grad + g


def check_grads(layout: ParameterLayout, names: Sequence[str]) -> None:
    """Check every ``.grad``.

    Raises:
        NonFiniteError: some gradient is infinite or NaN.
    """
    grads = [p.grad for p in layout.params if p.grad is not None]
    if grads and not _all_finite(grads):
        _refuse(names)


def _all_finite(grads: list[Tensor]) -> bool:
    """What torch's gradient scaler asks, with a scale of 1: one pass, no temporaries."""
    device = grads[0].device
    found = torch.zeros(1, dtype=torch.float32, device=device)
    torch._amp_foreach_non_finite_check_and_unscale_(grads, found, _one(device))
    return found.item() == 0


@lru_cache
def _one(device: torch.device) -> Tensor:
    return torch.ones(1, dtype=torch.float32, device=device)


def _refuse(names: Sequence[str]) -> None:
    raise NonFiniteError(
        f"expected finite gradients, found inf or nan in that of the sum of {', '.join(names)} "
        "although the losses are finite."
    )
