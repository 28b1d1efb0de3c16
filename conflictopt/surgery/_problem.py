"""What surgery on the Gramian solves: the gradients of one block in normal form."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..core.layout import TRUNK
from ..core.step import StepView


class Claim(enum.Flag):
    """What ``verify`` can check; every method is also held to ``NON_CONFLICTING``."""

    NOTHING = 0
    NON_CONFLICTING = enum.auto()
    EQUAL_COSINES = enum.auto()
    MINIMUM_NORM = enum.auto()


@dataclass(frozen=True)
class Problem:
    """The gradients of one block in normal form; zero gradients are left out.

    Attributes:
        gramian: ``[k, k]`` Gramian of the normalised gradients; its diagonal is 1 to rounding.
        sizes: ``[k]`` norms, all positive.
        active: per gradient the index of its loss.
        block: number of the block.
        view: the step, for random numbers, loss values and reports.
    """

    gramian: NDArray[np.float64]
    sizes: NDArray[np.float64]
    active: list[int]
    block: int
    view: StepView

    @cached_property
    def unit(self) -> list[list[float]]:
        """``[k][k]`` the Gramian as numbers: Python is quicker with nine of them than numpy is."""
        numbers: list[list[float]] = self.gramian.tolist()
        return numbers

    @cached_property
    def norms(self) -> list[float]:
        """``[k]`` the norms as numbers."""
        numbers: list[float] = self.sizes.tolist()
        return numbers

    @property
    def agrees(self) -> bool:
        """Whether no pair conflicts."""
        return bool(self.gramian.min() >= 0)

    @property
    def losses(self) -> list[float]:
        """``[k]`` values of the losses."""
        values = self.view.losses.tolist()
        return [values[k] for k in self.active]

    @property
    def equations(self) -> list[bool]:
        """``[k]`` whether the losses are equations."""
        return [self.view.spec.equations[k] for k in self.active]

    @property
    def names(self) -> str:
        """The names of the losses, for messages."""
        return ", ".join(f"'{self.view.spec.names[k]}'" for k in self.active)

    def name(self, i: int) -> str:
        """The name of the loss of gradient i."""
        return self.view.spec.names[self.active[i]]

    def stationary(self) -> list[float]:
        """No direction is a descent direction of all losses: report it, and do not move."""
        self.view.report(
            "no_descent",
            f"no direction lowers all of {self.names}: this step leaves the block where it is.",
        )
        return [0.0] * len(self.norms)


def gramian_of(view: StepView, group: tuple[str, ...]) -> NDArray[np.float64]:
    """``[K, K]`` Gramian over some blocks."""
    blocks = view.layout.blocks
    if len(group) == len(blocks):
        total = view.gramian(None)
    elif set(group) == {b.name for b in blocks if b.in_trunk}:
        total = view.gramian(TRUNK)
    else:
        total = view.gramian(group[0])
        for name in group[1:]:
            total = total + view.gramian(name)
    array: NDArray[np.float64] = total.numpy()
    return array
