"""One step of a wrapped optimizer that reads residuals, and no gradients of losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..core.errors import LossError, MethodError
from ..core.losses import FIXED, Losses, Residual
from .closure import Owner
from .compatibility import reads_residuals
from .session import LossForms

Weighted = Mapping[str, list[Residual]]
"""Per loss its residuals, each with the user's weight times the method's."""


class ResidualEvaluations:
    """What such an optimizer calls in place of the user's closure, in one step.

    Args:
        owner: of the session and the wrapped optimizer.
        closure: the user's; returns losses with their residuals. Where it has a method ``batch``,
            so has this.
    """

    def __init__(self, owner: Owner, closure: Callable[[], LossForms]) -> None:
        self._owner = owner
        self._closure = closure
        if hasattr(closure, "batch"):
            self.batch = self._batch

    def __call__(self) -> Weighted:
        """The residuals at the present parameters, weighted by the coefficients of this step.

        Raises:
            LossError: a regulariser beside the losses.
            MethodError: a loss that is no mean square of residuals.
        """
        session = self._owner.session
        objective = self._owner.read(self._closure())
        losses = objective.together(residuals=True)
        if session.pending is None:
            _check(losses)
            session.weigh_losses(objective, self._owner.layout())
        weights = session.pending
        assert weights is not None
        return {
            name: [(r, w * c) for r, w in losses.residual_pairs(k)]
            for k, (name, c) in enumerate(zip(losses.names, weights.tolist(), strict=True))
        }

    def _batch(self, rows: int | None, generator: torch.Generator) -> ResidualEvaluations:
        closure: Any = self._closure
        return ResidualEvaluations(self._owner, closure.batch(rows, generator))

    def finish(self) -> None:
        """The optimizer has stepped."""

    def undo(self) -> None:
        """The step failed: such an optimizer leaves the parameters as they were."""


def load_best(owner: Owner, closure: Callable[[], LossForms]) -> None:
    """Give the parameters the values that did best; the state of the method stays.

    Raises:
        MethodError: the wrapped optimizer keeps none.
    """
    inner: Any = owner.inner
    if not reads_residuals(inner):
        raise MethodError(
            "expected load_best with an optimizer that reads residuals, such as "
            f"LevenbergMarquardt, found {type(inner).__name__}, which keeps no best parameters."
        )
    try:
        inner.load_best(ResidualEvaluations(owner, closure))
    finally:
        owner.session.discard()


def _check(losses: Losses) -> None:
    if FIXED in losses.groups:
        raise LossError(
            "expected losses that are mean squares of residuals, found a regulariser beside them. "
            "Remove it: the damping keeps the steps of this optimizer short."
        )
