"""The residual rows that one step is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .jacobian import RowJacobian
from .residuals import ResidualClosure, ResidualSet
from .row_matrix import RowBlock, RowMatrix, Space

LEAST = 16
"""Rows of each loss in a batch, where it has so many."""


@runtime_checkable
class Batched(Protocol):
    """A closure that can be evaluated on fewer rows, so that no others are computed."""

    def batch(self, rows: int | None, generator: torch.Generator) -> ResidualClosure:
        """The residuals on about so many rows; the same ones at every call of what is returned.

        Args:
            rows: of all losses together; ``None`` for all.
            generator: draws them.
        """


@dataclass(frozen=True)
class RowBatch:
    """Which rows of every residual set a step is made of; ``None`` for all of a set."""

    chosen: tuple[Tensor | None, ...]

    def residuals(self, sets: Sequence[ResidualSet]) -> Tensor:
        """``[N]`` scaled residuals, whose squares add up to the loss on the batch."""
        pairs = zip(sets, self.chosen, strict=True)
        return torch.cat([s.scaled(rows) for s, rows in pairs])

    def jacobian(self, sets: Sequence[ResidualSet], engine: RowJacobian, space: Space) -> RowMatrix:
        """The rows ``[N, P]`` of their Jacobian, scaled as the residuals are.

        Args:
            sets: as ``engine`` evaluated them.
            engine: differentiates rows.
            space: memory for rows that are written out.
        """
        blocks, start = [], 0
        for number, (s, rows) in enumerate(zip(sets, self.chosen, strict=True)):
            count, entries = s.rows if rows is None else len(rows), s.values.shape[1]
            stop = start + count * entries
            scale = s.scale(count)
            for entry, parts in enumerate(engine.parts(sets, number, rows)):
                # one after the other: rows that are no factors are large
                scaled = {i: parts.pop(i).scaled(scale) for i in list(parts)}
                blocks.append(RowBlock(slice(start + entry, stop, entries), scaled))
            start = stop
        return RowMatrix(blocks, [p.numel() for p in engine.params], space)

    def size(self, sets: Sequence[ResidualSet]) -> int:
        """N."""
        pairs = zip(sets, self.chosen, strict=True)
        return sum((s.rows if r is None else len(r)) * s.values.shape[1] for s, r in pairs)


def draw(sets: Sequence[ResidualSet], rows: int | None, generator: torch.Generator) -> RowBatch:
    """Draw rows of all losses in proportion to their points, of each at least ``LEAST``.

    Args:
        sets: of one evaluation.
        rows: how many entries in all; ``None`` for all.
        generator: on the CPU.
    """
    entries = sum(s.values.numel() for s in sets)
    if rows is None or entries <= rows:
        return RowBatch((None,) * len(sets))
    chosen: list[Tensor | None] = []
    for s in sets:
        count = max(min(s.rows, LEAST), round(s.rows * rows / entries))
        if count >= s.rows:
            chosen.append(None)
            continue
        drawn = torch.randperm(s.rows, generator=generator, device="cpu")[:count]
        chosen.append(drawn.sort().values.to(s.values.device))
    return RowBatch(tuple(chosen))
