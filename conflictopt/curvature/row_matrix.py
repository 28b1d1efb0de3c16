"""The Jacobian of a step, whose large layers stay factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .parts import OuterRows, Parts

_ELEMENTWISE = 50
"""Multiplications in a matrix product that take as long as one elementwise product (measured)."""

Space = Callable[[int, int], Tensor]
"""Gives memory for a matrix of so many rows and columns."""


@dataclass(frozen=True)
class RowBlock:
    """Some rows of the matrix.

    Attributes:
        rows: which ones.
        parts: by parameter.
    """

    rows: slice
    parts: Parts


class RowMatrix:
    """S ``[N, P]`` with what normal equations need of it.

    Rows of a small parameter are written out. Those of a large layer are sums of q outer products
    ``l r^T``, so the inner product of two is ``sum_jj' (l_j . l_j') (r_j . r_j')``: the Gram matrix
    takes ``(q N)^2 (in + out)`` multiplications instead of ``N^2 in out``, and no memory for rows.

    Args:
        blocks: all rows.
        sizes: scalars of each parameter.
        space: memory for what is written out, float64.

    Attributes:
        shape: ``(N, P)``.
    """

    def __init__(self, blocks: Sequence[RowBlock], sizes: Sequence[int], space: Space) -> None:
        count = max(b.rows.stop for b in blocks)
        self.shape = count, sum(sizes)
        ends = np.cumsum([0, *sizes]).tolist()
        self._spans = [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]
        self._layers: dict[int, list[tuple[slice, OuterRows]]] = {}
        if count <= self.shape[1]:  # else its transpose's Gram matrix is what is needed
            for i in range(len(sizes)):
                found = _factored(blocks, i, count)
                if found:
                    self._layers[i] = found
        self._written = [i for i in range(len(sizes)) if i not in self._layers]
        self._dense = space(count, sum(sizes[i] for i in self._written))
        self._write(blocks, sizes)

    def gram(self) -> Tensor:
        """``S S^T``."""
        found = gram(self._dense)
        if self._layers:
            half = found.new_zeros(found.shape)
            for members in self._layers.values():
                _add_half_gram(half, members)
            found += half
            found += half.t()
        return found

    def gram_of_columns(self) -> Tensor:
        """``S^T S``; with more rows than columns alone."""
        return gram(self._dense.t())

    def combined(self, v: Tensor) -> Tensor:
        """``S^T v`` ``[P]``."""
        own = self._dense.t() @ v
        if not self._layers:
            return own
        found = v.new_zeros(self.shape[1])
        start = 0
        for i in self._written:
            span = self._spans[i]
            found[span] = own[start : start + span.stop - span.start]
            start += span.stop - span.start
        for i, members in self._layers.items():
            for rows, outer in members:
                found[self._spans[i]] += outer.combined(v[rows])
        return found

    def along(self, step: Tensor) -> Tensor:
        """``S step`` ``[N]``."""
        if not self._layers:
            return self._dense @ step
        own = [step[self._spans[i]] for i in self._written]
        found = self._dense @ torch.cat([*own, step[:0]])  # not of an empty list
        for i, members in self._layers.items():
            direction = step[self._spans[i]].view(members[0][1].shape)
            for rows, outer in members:
                found[rows] += outer.along(direction)
        return found

    def _write(self, blocks: Sequence[RowBlock], sizes: Sequence[int]) -> None:
        start = 0
        for i in self._written:
            columns = self._dense[:, start : start + sizes[i]]
            start += sizes[i]
            for block in blocks:
                part = block.parts.get(i)
                if part is None:
                    columns[block.rows] = 0.0
                else:
                    part.write(columns[block.rows])


def gram(a: Tensor) -> Tensor:
    """``a a^T``.

    On the CPU by NumPy, whose BLAS has a symmetric product (``dsyrk``), which torch lacks: measured
    0.45 to 0.65 of the time of ``torch.mm``.
    """
    if a.device.type == "cpu":
        return torch.from_numpy(np.dot(a.numpy(), a.numpy().T))
    return a @ a.t()


def _factored(
    blocks: Sequence[RowBlock], number: int, count: int
) -> list[tuple[slice, OuterRows]] | None:
    """Rows of a parameter as factors, if all are and that is cheaper than to write them out."""
    found = []
    for block in blocks:
        part = block.parts.get(number)
        if isinstance(part, OuterRows):
            found.append((block.rows, part))
        elif part is not None:
            return None
    if not found:
        return None
    out, into = found[0][1].shape
    summands = sum(outer.rows * outer.summands for _, outer in found)
    pays = summands**2 * (out + into + _ELEMENTWISE) < count**2 * out * into
    return found if pays else None


def _add_half_gram(half: Tensor, members: Sequence[tuple[slice, OuterRows]]) -> None:
    """Add a matrix that makes, with its transpose, the Gram matrix of one layer."""
    slots = [(rows, *slot) for rows, outer in members for slot in outer.slots()]
    longest = max(len(left) for _, left, _ in slots)
    memory = half.new_empty(2, longest**2)
    for i, (rows, left, right) in enumerate(slots):
        for j, (others, other_left, other_right) in enumerate(slots[i:], start=i):
            shape = len(left), len(other_left)
            lefts, rights = (m[: shape[0] * shape[1]].view(shape) for m in memory)
            torch.mm(left, other_left.t(), out=lefts)
            torch.mm(right, other_right.t(), out=rights)
            half[rows, others].addcmul_(lefts, rights, value=0.5 if i == j else 1.0)
