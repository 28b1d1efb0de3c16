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
        drawn = draw_numbers(s.rows, s.rows, rows / entries, generator)
        chosen.append(drawn if drawn is None else drawn.to(s.values.device))
    return RowBatch(tuple(chosen))


def draw_numbers(most: int, usual: int, share: float, generator: torch.Generator) -> Tensor | None:
    """Draw numbers of rows, in order; ``None`` for all.

    Args:
        most: how many rows there are, a pool's too.
        usual: how many of them a step on all rows would have.
        share: of these to be drawn, but of each loss at least ``LEAST`` if it has so many.
        generator: on the CPU.
    """
    count = max(min(usual, LEAST), round(usual * share))
    if count >= most:
        return None
    return torch.randperm(most, generator=generator, device="cpu")[:count].sort().values
