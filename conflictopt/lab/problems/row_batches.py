"""The residuals of a problem as the closure of a curvature step, on few rows at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...core.losses import Losses
from .assembly import Derive
from .batches import Batches
from .objective import Equations
from .points import SharedPoints

LEAST = 16
"""Points of each block in a batch, where it has so many."""


class RowResiduals:
    """The losses at the points of a run; ``batch`` gives them at few of these points.

    Args:
        equations: at all points that batches are drawn from.
        derive: the network's derivatives.
        unknowns: the present values of the unknowns.
    """

    def __init__(
        self, equations: Equations, derive: Derive, unknowns: Mapping[str, Tensor]
    ) -> None:
        self._equations, self._derive, self._unknowns = equations, derive, unknowns

    def __call__(self) -> Losses:
        return self._at(self._equations.whole)

    def _at(self, batches: Batches) -> Losses:
        found = batches.residuals(self._derive, self._unknowns)
        return self._equations.losses(found, apart=False)

    def batch(self, rows: int | None, generator: torch.Generator) -> RowClosure:
        """The losses at about so many points; see ``conflictopt.curvature.batch.Batched``."""
        whole = self._equations.whole
        if rows is None:
            return RowClosure(self, whole)
        blocks = {id(b): b for a in whole.assemblies for b in a.blocks}
        entries = sum(t.block.count for a in whole.assemblies for t in a.tasks)
        share = min(1.0, rows / entries)
        chosen = {key: _drawn(b, share, generator) for key, b in blocks.items()}
        return RowClosure(self, whole.at_rows(lambda b: chosen[id(b)]))


class RowClosure:
    """The losses at the points of one step."""

    def __init__(self, source: RowResiduals, batches: Batches) -> None:
        self._source, self._batches = source, batches

    def __call__(self) -> Losses:
        return self._source._at(self._batches)


def _drawn(block: SharedPoints, share: float, generator: torch.Generator) -> Tensor:
    """Numbers of points, in order."""
    n = block.count
    count = min(n, max(LEAST, round(n * share)))
    if count == n:
        return torch.arange(n, device="cpu")
    return torch.randperm(n, generator=generator, device="cpu")[:count].sort().values
