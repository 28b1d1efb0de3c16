"""What surgery on the Gramian solves: the gradients of one block in normal form."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.layout import TRUNK
from ...core.step import StepView
from ..small_linalg import WELL_CONDITIONED, cholesky

_ROUNDINGS = 64
"""Relative errors of gradients, in roundings, that are no direction of their own."""
_MOST = 1e-8
_MANY = 8
"""Gradients from which numpy is quicker than Python."""


class Claim(enum.Flag):
    """What ``verify`` checks beside conflict, which no method is allowed."""

    NOTHING = 0
    EQUAL_COSINES = enum.auto()
    MINIMUM_NORM = enum.auto()


Numbers = list[list[float]]


@dataclass(frozen=True)
class NormalForm:
    """The gradients of one block in normal form; zero gradients are left out.

    Both forms of the numbers are there, made from each other when first asked for: Python is
    quicker with nine of them than numpy is, and numpy with a thousand.

    Attributes:
        given: ``[k, k]`` Gramian of the normalised gradients; its diagonal is 1 to rounding.
        lengths: ``[k]`` norms, all positive.
        active: per gradient the index of its loss.
        view: the step, for random numbers, loss values and reports.
    """

    given: Numbers | NDArray[np.float64]
    lengths: list[float] | NDArray[np.float64]
    active: list[int]
    view: StepView

    @cached_property
    def unit(self) -> Numbers:
        """``[k][k]`` the Gramian of the normalised gradients as numbers."""
        numbers: Numbers = self.given if isinstance(self.given, list) else self.given.tolist()
        return numbers

    @cached_property
    def norms(self) -> list[float]:
        """``[k]`` the norms as numbers."""
        return self.lengths if isinstance(self.lengths, list) else self.lengths.tolist()

    @cached_property
    def gramian(self) -> NDArray[np.float64]:
        """``[k, k]`` the Gramian of the normalised gradients as an array."""
        return np.asarray(self.given)

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """``[k]`` the norms as an array."""
        return np.asarray(self.lengths)

    @property
    def agrees(self) -> bool:
        """Whether no pair conflicts."""
        if isinstance(self.given, list):
            return min(map(min, self.given)) >= 0
        return bool(self.given.min() >= 0)

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


def normal_form(gramian: Tensor, rounding: float) -> tuple[Any, Any, list[int]]:
    """The Gramian of the normalised gradients, their norms, and which are not zero.

    Args:
        gramian: ``[K, K]`` float64, of all gradients.
        rounding: of the gradients' floats. Those that are dependent but for rounding, as of two
            instruments that disagree, are made dependent: what is left of them has no direction.
    """
    if len(gramian) < _MANY:
        gram: Numbers = gramian.tolist()
        norms = [math.sqrt(row[k]) for k, row in enumerate(gram)]
        active = [k for k, n in enumerate(norms) if n > 0]
        # by one norm after the other: their product may underflow
        unit = [[gram[i][j] / norms[i] / norms[j] for j in active] for i in active]
        return _cleaned(unit, rounding), [norms[k] for k in active], active
    array = gramian.numpy()
    sizes = np.sqrt(array.diagonal())
    active = np.flatnonzero(sizes).tolist()
    array, sizes = array[np.ix_(active, active)], sizes[active]
    return _cleaned(array / sizes[:, None] / sizes, rounding), sizes, active


def _cleaned(unit: Any, rounding: float) -> Any:
    """A unit Gramian whose eigenvalues below the rounding of its gradients are 0."""
    if _is_regular(unit):
        return unit
    least = min((_ROUNDINGS * rounding) ** 2, _MOST)  # of half floats it would be most of them
    values, vectors = np.linalg.eigh(np.asarray(unit))
    if values[0] >= least:
        return unit
    kept = vectors[:, values >= least] * np.sqrt(values[values >= least])
    kept /= np.linalg.norm(kept, axis=1)[:, None]
    cleaned = kept @ kept.T
    return cleaned.tolist() if isinstance(unit, list) else cleaned


def _is_regular(unit: Any) -> bool:
    """Whether Cholesky's pivots are far above rounding, as they mostly are: a quick look."""
    if isinstance(unit, list):
        return cholesky(unit) is not None
    try:
        lower = np.linalg.cholesky(unit)
    except np.linalg.LinAlgError:
        return False
    return bool(lower.diagonal().min(initial=1.0) ** 2 >= WELL_CONDITIONED)


def gramian_of(view: StepView, group: tuple[str, ...]) -> Tensor:
    """``[K, K]`` Gramian over some blocks."""
    blocks = view.layout.blocks
    if len(group) == len(blocks):
        return view.gramian(None)
    if set(group) == {b.name for b in blocks if b.in_trunk}:
        return view.gramian(TRUNK)  # one run of columns
    total = view.gramian(group[0])
    for name in group[1:]:
        total = total + view.gramian(name)
    return total
