"""Aggregators: how the losses of one step become coefficients of their gradients.

A method is a frozen dataclass of hyper-parameters without state. Its state is a dict of tensors
that the optimizer owns, so that checkpointing, resuming and line searches are written once.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
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
        from_rows: whether the update is assembled from per-loss gradients (surgery, routing) or
            by one backward pass of the weighted sum (reweighting).
    """

    needs: Needs
    source: str
    family: str
    from_rows: bool

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
    from_rows = False


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
    from_rows = True
    blocks: Literal["physics", "global"]

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return self.blocks == "global" or all(b.in_trunk for b in layout.blocks)

    @abstractmethod
    def solve(self, unit: Tensor, norms: Tensor, generator: torch.Generator) -> Tensor:
        """Coefficients ``[k]`` of the original gradients.

        Args:
            unit: ``[k, k]`` float64 Gramian of the normalised gradients, unit diagonal.
            norms: ``[k]`` float64 norms, all positive.
            generator: random source, for methods that draw an order.
        """

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if self.blocks == "global":
            return self._coefficients(view, None), state
        blocks = view.layout.blocks
        trunk, ones = self._coefficients(view, TRUNK), torch.ones_like(view.losses)
        if all(b.in_trunk for b in blocks):
            return trunk, state
        return torch.stack([trunk if b.in_trunk else ones for b in blocks], dim=1), state

    def _coefficients(self, view: StepView, block: str | None) -> Tensor:
        gram = view.gramian(block)
        norms = gram.diagonal().clamp_min(0).sqrt()
        active = (norms > 0).nonzero().flatten()
        c = torch.ones(view.count, dtype=torch.float64, device="cpu")
        if active.numel() > 1:
            n = norms[active]
            unit = (gram[active][:, active] / n[:, None] / n[None, :]).clamp(-1.0, 1.0)
            unit.fill_diagonal_(1.0)
            c[active] = self.solve(unit, n, view.generator)
        return c.to(view.losses)


class Routing(Aggregator):
    """A method that decides which loss reaches which adapter block: ``[K, B]``."""

    family = "routing"
    from_rows = True


def check_blocks(blocks: str) -> None:
    """Check a surgery method's ``blocks``.

    Raises:
        MethodError: not one of the two.
    """
    if blocks not in ("physics", "global"):
        raise MethodError(f"expected blocks='physics' or 'global', found {blocks!r}.")
