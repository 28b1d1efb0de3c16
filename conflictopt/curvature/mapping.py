"""Which rows of a batch belong to which row of a residual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .capture import Factors


def _tolerance(dtype: torch.dtype) -> float:
    """By how much equal numbers may differ after two backward passes, relative to their size.

    In float64 4e-10: a network late in its training has large weights whose contributions cancel,
    and a row was seen to be off by 1e3 units in the last place. Weaker coupling than this is left
    to the check of the rows against a product.
    """
    eps = torch.finfo(dtype).eps
    return float(max(1e3 * eps, eps**0.6))


@dataclass(frozen=True)
class RowMap:
    """Per row of a residual, the batch rows of one capture on which it depends.

    Attributes:
        batch: B, the number of batch rows.
        index: ``[n, q]`` batch rows; B, a row that is not there, where there are fewer than q.
            ``None`` where row i is batch row i.
        padded: whether there are fewer anywhere.
        dead: batch rows that added nothing when the map was found, so that whose they are is not
            known; ``None`` without any, or where row i is batch row i.
    """

    batch: int
    index: Tensor | None
    padded: bool
    dead: Tensor | None = None

    def covers(self, factors: Factors) -> bool:
        """Whether it fits factors found later: as many batch rows, none of the dead ones alive.

        A network without biases yet, say, is zero at the origin, but only before its first step.
        """
        if self.batch != len(factors.left):
            return False
        if self.dead is None:
            return True
        alive = (factors.left[self.dead] != 0).any(1)
        if factors.right is not None:
            alive &= (factors.right[self.dead] != 0).any(1)
        return not bool(alive.any())

    def gather(self, values: Tensor, rows: Tensor | None) -> Tensor:
        """``[k, q, w]`` values ``[B, w]`` of the batch rows of k residual rows, or of all."""
        if self.index is None:
            return (values if rows is None else values[rows])[:, None]
        index = self.index if rows is None else self.index[rows]
        if self.padded:
            values = torch.cat([values, values.new_zeros(1, values.shape[1])])
        return values[index]


def row_map(plain: Factors, seeded: Factors, seeds: Tensor) -> RowMap | None:
    """Find it from two backward passes.

    What batch row b adds to a gradient is ``sum_i v_i`` times its part of the gradient of residual
    i. Where one residual row i alone depends on b, that is ``v_i`` times what it is in a pass with
    ones, so the ratio of both passes tells i; where several do, both are not proportional. One of
    the two factors carries the ratio, the other is the same in both passes: a layer's input, or
    the gradient of an inner derivative.

    Args:
        plain: factors of the pass with ones.
        seeded: of the pass with ``seeds``.
        seeds: ``v`` ``[n]``, pairwise different, between 1 and 2.

    Returns:
        ``None`` if rows are coupled.
    """
    ratio, live, proportional = _ratios(plain.left, seeded.left)
    if plain.right is not None and seeded.right is not None:
        more = _ratios(plain.right, seeded.right)
        ratio, live, proportional = ratio * more[0], live & more[1], proportional & more[2]
    ordered, order = seeds.double().sort()
    nearest = _nearest(ordered, ratio)
    found = (ratio - ordered[nearest]).abs() <= _tolerance(plain.left.dtype)
    if bool((live & ~(proportional & found)).any()):
        return None
    return _grouped(order[nearest], live, len(seeds))


def _ratios(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per row ``other / one``, whether there is one, and whether the rows are proportional."""
    tolerance = _tolerance(one.dtype)
    one, other = one.double(), other.double()
    squares = one.square().sum(1)
    live = squares > 0
    products = (one * other).sum(1)
    ratio = torch.where(live, products / squares.where(live, torch.ones_like(squares)), 1.0)
    apart = (other - ratio[:, None] * one).abs().amax(1)
    # small rows may be differences of large numbers
    allowed = tolerance * (one.abs().amax(1) + 1e-3 * one.abs().amax())
    return ratio, live | (other != 0).any(1), apart <= allowed


def _nearest(ordered: Tensor, values: Tensor) -> Tensor:
    """Which of some ordered numbers is nearest to each value."""
    if len(ordered) == 1:
        return torch.zeros_like(values, dtype=torch.long)
    right = torch.searchsorted(ordered, values).clamp(1, len(ordered) - 1)
    nearer = (values - ordered[right - 1]).abs() < (ordered[right] - values).abs()
    return torch.where(nearer, right - 1, right)


def _grouped(owner: Tensor, live: Tensor, rows: int) -> RowMap:
    """From the residual row of every batch row to the batch rows of every residual row."""
    batch = len(owner)
    if batch == rows and bool((owner == torch.arange(rows, device=owner.device))[live].all()):
        return RowMap(batch, None, False)
    members = live.nonzero()[:, 0]
    own = owner[members]
    by_owner = own.argsort(stable=True)
    members, own = members[by_owner], own[by_owner]
    counts = torch.bincount(own, minlength=rows)
    most = max(int(counts.max()), 1)
    starts = counts.cumsum(0) - counts
    place = torch.arange(len(own), device=own.device) - starts[own]
    index = torch.full((rows, most), batch, dtype=torch.long, device=own.device)
    index[own, place] = members
    dead = (~live).nonzero()[:, 0]
    return RowMap(batch, index, bool((counts < most).any()), dead if len(dead) else None)


def covers(maps: Sequence[RowMap], factors: Sequence[Factors]) -> bool:
    """Whether maps found before fit factors found now."""
    if len(maps) != len(factors):
        return False
    return all(m.covers(f) for m, f in zip(maps, factors, strict=True))
