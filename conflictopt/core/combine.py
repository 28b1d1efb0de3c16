"""Coefficients and gradients -> ``.grad``."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import NonFiniteError
from .gradients import GradientSource
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
    torch.autograd.backward(total, inputs=list(layout.params))
    return total.detach()


def accumulate_rows(source: GradientSource, coefficients: Tensor) -> None:
    """Accumulate ``sum_k C[k, b] * row_k`` into ``.grad``, block by block.

    Args:
        coefficients: ``[K]`` for all blocks alike, or ``[K, B]``.

    A parameter that no loss touches keeps ``grad`` None, as after ``backward()``.
    """
    layout, rows = source.layout, source.rows()
    flat = torch.empty_like(rows[0])
    for b, block in enumerate(layout.blocks):
        c = coefficients if coefficients.ndim == 1 else coefficients[:, b]
        torch.mv(rows[:, block.columns].T, c.to(rows), out=flat[block.columns])
    fixed = source.fixed_row()
    if fixed is not None:
        flat += fixed
    reached = source.touched().any(dim=0).tolist()
    for p, g, used in zip(layout.params, layout.split(flat), reached, strict=True):
        if used or fixed is not None:
            p.grad = g if p.grad is None else p.grad + g


def check_grads(layout: ParameterLayout, context: str) -> None:
    """Check every ``.grad``.

    Raises:
        NonFiniteError: some gradient is infinite or NaN.
    """
    grads = [p.grad for p in layout.params if p.grad is not None]
    if not grads:
        return
    largest = torch.stack(torch._foreach_norm(grads, float("inf")))
    if not bool(largest.isfinite().all()):
        raise NonFiniteError(
            f"expected finite gradients, found inf or nan in that of {context} "
            "although the losses are finite."
        )
