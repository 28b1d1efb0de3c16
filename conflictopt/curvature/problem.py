"""What one step solves: residuals on its rows as a function of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .batch import RowBatch
from .residuals import ResidualClosure, ResidualSet, read

Weighing = Callable[[Sequence[ResidualSet]], Sequence[ResidualSet]]


class StepProblem:
    """The residuals of a step, at the parameters that it began with and at trial points.

    Args:
        closure: evaluates them at the present parameters.
        batch: which rows of them.
        weigh: gives them the weights of this step.
        params, rates: what is moved, and by how much of a step.
    """

    def __init__(
        self,
        closure: ResidualClosure,
        batch: RowBatch,
        weigh: Weighing,
        params: Sequence[Tensor],
        rates: Sequence[float],
    ) -> None:
        self._closure, self._batch, self._weigh = closure, batch, weigh
        self._params, self._rates = params, rates
        self._start = [p.detach().clone() for p in params]

    def at(self, step: Tensor) -> Tensor:
        """Scaled residuals ``[N]`` after a step ``[P]``, which is subtracted at the rates."""
        return self._after(step, self._rates)

    def ahead(self, step: Tensor, share: float) -> Tensor:
        """The same after a share of it, whatever the rates."""
        return self._after(step, [share] * len(self._params))

    def _after(self, step: Tensor, shares: Sequence[float]) -> Tensor:
        begin = 0
        with torch.no_grad():
            for p, old, share in zip(self._params, self._start, shares, strict=True):
                part = step[begin : begin + p.numel()].view(p.shape)
                begin += p.numel()
                p.copy_(old - (share * part).to(old.dtype))
        with torch.enable_grad():
            sets = read(self._closure())
        return self._batch.residuals(self._weigh(sets))

    def restore(self) -> None:
        """Bring the parameters back to where the step began, bitwise."""
        with torch.no_grad():
            for p, old in zip(self._params, self._start, strict=True):
                p.copy_(old)
