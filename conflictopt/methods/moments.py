"""Adam's moments of a few numbers, without state of its own: for weights that are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.errors import MethodError, NonFiniteError

BETAS = (0.9, 0.999)
EPS = 1e-8


def check_betas(betas: Sequence[float]) -> tuple[float, float]:
    """Check Adam's two decay rates.

    Raises:
        MethodError: not two numbers in [0, 1).
    """
    if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
        raise MethodError(f"expected two betas in [0, 1), found {betas!r}.")
    return float(betas[0]), float(betas[1])


def check_rate(rate: float) -> None:
    """Check the learning rate of weights.

    Raises:
        MethodError: negative or not finite.
    """
    if not 0 <= rate < float("inf"):
        raise MethodError(f"expected a finite lr >= 0, found {rate}.")


def moments(shape: Sequence[int], **kind: Any) -> dict[str, Tensor]:
    """First and second moment before the first step."""
    return {"first": torch.zeros(*shape, **kind), "second": torch.zeros(*shape, **kind)}


def adam(
    gradient: Tensor, first: Tensor, second: Tensor, step: int, lr: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Adam's descent (Kingma, Ba 2015, algorithm 1) at its default decay rates.

    Args:
        gradient: of what is minimised.
        first, second: moments after ``step - 1`` steps.
        step: number of this step, from 1.
        lr: learning rate.

    Returns:
        What to add, and both moments after this step.

    Raises:
        NonFiniteError: the second moment would be infinite or NaN.
    """
    b1, b2 = BETAS
    first = torch.lerp(first, gradient, 1 - b1)
    second = torch.lerp(second, gradient.square(), 1 - b2)
    if not bool(second.isfinite().all()):
        # it would stay there for ever
        raise NonFiniteError("expected losses whose squares are finite, found larger ones.")
    root = (second / (1 - b2**step)).sqrt() + EPS
    return -lr / (1 - b1**step) * first / root, first, second
