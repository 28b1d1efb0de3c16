"""What one step saw and chose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.aggregator import State
from ..core.errors import MethodError, NonFiniteError
from ..core.layout import ParameterLayout
from ..core.points import PointWeights
from ..core.reports import Note

Points = Mapping[str, tuple[Tensor | None, ...]]
"""Per loss name and residual the collocation points, where they are known."""


@dataclass(frozen=True)
class LastStep:
    """What the last completed step saw and chose.

    Attributes:
        names: the K loss names.
        values: the K losses before aggregation and without point weights, as numbers.
        coefficients: ``[K]`` or ``[K, B]`` (B parameter blocks).
        blocks: name and size of every parameter block.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    coefficients: Tensor
    blocks: tuple[tuple[str, int], ...]

    @property
    def losses(self) -> Tensor:
        """``[K]`` the losses, like the coefficients in dtype and device."""
        return self.coefficients.new_tensor(self.values)


@dataclass(frozen=True)
class StepInProgress:
    """What the step in progress saw and chose.

    Attributes:
        step: what will be the last step.
        state: the state of the method that it leads to.
        weights, points: of the collocation points, for point-wise methods.
        direction: of a method that transforms gradients.
        notes: reports of the step.
    """

    step: LastStep
    state: State
    weights: PointWeights | None
    points: Points
    direction: Tensor | None
    notes: list[Note]


def check_coefficients(
    c: Tensor, method: str, names: tuple[str, ...], layout: ParameterLayout
) -> None:
    """Check what a method chose.

    Raises:
        MethodError: another shape than ``[K]`` or ``[K, B]``.
        NonFiniteError: an infinite or NaN coefficient.
    """
    k, b = len(names), len(layout.blocks)
    if tuple(c.shape) not in ((k,), (k, b)):
        raise MethodError(
            f"expected coefficients [{k}] or [{k}, {b}] from {method}, found {list(c.shape)}."
        )
    if not all(map(math.isfinite, c.flatten().tolist())):
        raise NonFiniteError(f"{method} chose the coefficients {c.tolist()} for {names}.")


def same_weights(a: PointWeights, b: PointWeights) -> bool:
    """Whether all points have the same weights."""
    return a.keys() == b.keys() and all(
        len(a[n]) == len(b[n]) and all(map(torch.equal, a[n], b[n])) for n in a
    )
