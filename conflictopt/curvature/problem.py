"""What one step solves: residuals on its rows as a function of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .batch import RowBatch
from .residuals import ResidualClosure, ResidualSet, read

Weighing = Callable[[Sequence[ResidualSet]], tuple[ResidualSet, ...]]


def evaluated(closure: ResidualClosure) -> tuple[ResidualSet, ...]:
    """The residuals at the present parameters, with their graph."""
    with torch.enable_grad():
        return read(closure())


class StepProblem:
    """The residuals of a step, at the parameters that it began with and at trial points.

    Args:
        closure: evaluates them at the present parameters.
        batch: which rows of them.
        weigh: gives them the weights of this step.
        params, rates: what is moved, and by how much of a step.

    Attributes:
        batch: which rows.
        start: values of the parameters where the step begins.
    """

    def __init__(
        self,
        closure: ResidualClosure,
        batch: RowBatch,
        weigh: Weighing,
        params: Sequence[Tensor],
        rates: Sequence[float],
    ) -> None:
        self._closure, self.batch, self._weigh = closure, batch, weigh
        self._params, self._rates = params, rates
        self.start = [p.detach().clone() for p in params]

    def at(self, step: Tensor) -> Tensor:
        """Scaled residuals ``[N]`` after a step ``[P]``, which is subtracted at the rates."""
        return self._after(step, self._rates)

    def ahead(self, step: Tensor, share: float) -> Tensor:
        """The same after a share of it, whatever the rates."""
        return self._after(step, [share] * len(self._params))

    def at_values(self, values: Sequence[Tensor]) -> Tensor:
        """The same at any values of the parameters, which then are where the step begins again."""
        try:
            self._set(values)
            return self._residuals()
        finally:
            self.restore()

    def _after(self, step: Tensor, shares: Sequence[float]) -> Tensor:
        parts = torch.split(step, [p.numel() for p in self._params])
        with torch.no_grad():
            for p, old, part, share in zip(self._params, self.start, parts, shares, strict=True):
                p.copy_(old - (share * part.view(p.shape)).to(old.dtype))
        return self._residuals()

    def _residuals(self) -> Tensor:
        return self.batch.residuals(self._weigh(evaluated(self._closure)))

    def restore(self) -> None:
        """Bring the parameters back to where the step began, bitwise."""
        self._set(self.start)

    def _set(self, values: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for p, value in zip(self._params, values, strict=True):
                p.copy_(value)
