"""Aggregators: how the losses of one step become coefficients of their gradients.

A method is a frozen dataclass of hyper-parameters without state. Its state is a dict of tensors
that the optimizer owns, so that checkpointing, resuming and line searches are written once.
"""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from .errors import MethodError
from .layout import TRUNK, ParameterLayout
from .step import Spec, StepView

State = dict[str, Tensor]


class Needs(enum.Flag):
    """What a method reads from a step, in the order of what it costs."""

    LOSSES = enum.auto()
    NORMS = enum.auto()
    GRAMIAN = enum.auto()
    ROWS = enum.auto()
    RESIDUALS = enum.auto()


class Aggregator(ABC):
    """Chooses coefficients ``C``; the update is ``grad_b = sum_k C[k, b] * dL_k/dtheta_b``.

    Attributes (of the class, not hyper-parameters):
        needs: what the method reads.
        source: paper and equation.
        plain: whether it promises unit coefficients; its run is then bitwise the plain one.
    """

    needs: Needs
    source: str
    family: str
    plain: bool = False

    @property
    def label(self) -> str:
        """The method's class name, for messages and checkpoints."""
        return type(self).__name__

    def has_scalar(self, layout: ParameterLayout) -> bool:
        """Whether ``sum_k c_k L_k``, coefficients frozen, is what a line search may minimise."""
        return True

    def init(self, spec: Spec) -> State:
        """State before the first step; keys and shapes never change afterwards."""
        return {}

    @abstractmethod
    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        """Coefficients of this step, ``[K]`` or ``[K, B]``, and the next state. Pure."""


class Reweighting(Aggregator):
    """A method that gives each loss one non-negative weight: ``[K]``, finite."""

    family = "reweighting"


class Surgery(Aggregator):
    """A method that changes gradients by recombining them: ``d = sum_k c_k g_k``.

    The base brings every subclass to one scale-safe problem: zero gradients are left out (their
    coefficient is 1), the rest are normalised to unit rows in float64, and a single gradient is
    returned as it is. Subclasses solve on the unit Gramian.

    Attributes:
        blocks: ``"physics"`` looks at the trunk's gradients only and gives unknowns of an inverse
            problem and adapters the plain sum; ``"global"`` treats all parameters as one vector.
    """

    family = "surgery"
    blocks: Literal["physics", "global"]

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return self.blocks == "global" or all(b.in_trunk for b in layout.blocks)

    @abstractmethod
    def solve(
        self, unit: list[list[float]], norms: list[float], generator: torch.Generator
    ) -> Sequence[float]:
        """Coefficients ``[k]`` of the original gradients.

        The Gramian of a few losses comes as numbers: Python is quicker with nine of them than
        tensor operations are, and ``torch.tensor(unit)`` is there for the others.

        Args:
            unit: ``[k][k]`` Gramian of the normalised gradients; its diagonal is 1 to rounding.
            norms: ``[k]`` norms, all positive.
            generator: random source, for methods that draw an order.
        """

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if view.count == 1:
            return view.ones(), state
        if self.blocks == "global":
            return self._coefficients(view, None), state
        blocks = view.layout.blocks
        trunk = self._coefficients(view, TRUNK)
        if all(b.in_trunk for b in blocks):
            return trunk, state
        ones = view.ones()
        return torch.stack([trunk if b.in_trunk else ones for b in blocks], dim=1), state

    def _coefficients(self, view: StepView, block: str | None) -> Tensor:
        gram = view.gramian(block).tolist()
        norms = [math.sqrt(gram[k][k]) for k in range(view.count)]
        active = [k for k, n in enumerate(norms) if n > 0]
        c = [1.0] * view.count
        if len(active) > 1:
            unit = [[gram[i][j] / norms[i] / norms[j] for j in active] for i in active]
            solved = self.solve(unit, [norms[k] for k in active], view.generator)
            for k, value in zip(active, solved, strict=True):
                c[k] = value
        return torch.tensor(c, dtype=view.spec.dtype, device=view.spec.device)


class Routing(Aggregator):
    """A method that decides which loss reaches which adapter block: ``[K, B]``."""

    family = "routing"


def check_blocks(blocks: str) -> None:
    """Check a surgery method's ``blocks``.

    Raises:
        MethodError: not one of the two.
    """
    if blocks not in ("physics", "global"):
        raise MethodError(f"expected blocks='physics' or 'global', found {blocks!r}.")
