"""The residuals of a problem as the closure of a curvature step, on few rows at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...core.losses import Losses
from ...curvature.batch import draw_numbers
from .assembly import Derive
from .batches import Batches
from .objective import Equations
from .points import SharedPoints


class RowResiduals:
    """The losses at the points of a run; ``batch`` gives them at few of these points.

    Args:
        equations: at all points that batches are drawn from.
        derive: the network's derivatives.
        unknowns: the present values of the unknowns.
        pool: how many times the points of a run these are. Batches are drawn as from the points of
            a run, in the same proportions, but others every time. Measurements are what they are:
            there is no pool of them.
    """

    def __init__(
        self,
        equations: Equations,
        derive: Derive,
        unknowns: Mapping[str, Tensor],
        pool: int = 1,
    ) -> None:
        self._equations, self._derive, self._unknowns = equations, derive, unknowns
        self._pool = pool

    def __call__(self) -> Losses:
        return self._at(self._equations.whole)

    def _at(self, batches: Batches) -> Losses:
        found = batches.residuals(self._derive, self._unknowns)
        return self._equations.losses(found, apart=False)

    def batch(self, rows: int | None, generator: torch.Generator) -> RowClosure:
        """The losses at about so many points; see ``conflictopt.curvature.batch.Batched``."""
        whole = self._equations.whole
        blocks = {id(b): b for a in whole.assemblies for b in a.blocks}
        entries = sum(self._of_a_run(t.block) for a in whole.assemblies for t in a.tasks)
        share = 1.0 if rows is None else rows / entries
        chosen = {key: _drawn(b, self._of_a_run(b), share, generator) for key, b in blocks.items()}
        return RowClosure(self, whole.at_rows(lambda b: chosen[id(b)]))

    def _of_a_run(self, block: SharedPoints) -> int:
        """How many points of a block a run has."""
        return block.count if block.data else max(1, round(block.count / self._pool))


class RowClosure:
    """The losses at the points of one step."""

    def __init__(self, source: RowResiduals, batches: Batches) -> None:
        self._source, self._batches = source, batches

    def __call__(self) -> Losses:
        return self._source._at(self._batches)


def _drawn(block: SharedPoints, most: int, share: float, generator: torch.Generator) -> Tensor:
    """Numbers of points, in order."""
    drawn = draw_numbers(block.count, most, share, generator)
    return torch.arange(block.count, device="cpu") if drawn is None else drawn
