"""The Jacobian of a step, whose large layers stay factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .parts import OuterRows, Parts

_ELEMENTWISE = 50
"""Multiplications in a matrix product that take about as long as one elementwise product."""

_LARGE = 256
"""Scalars of a parameter from which on its rows lie apart."""

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
        self._spans = [slice(a, b) for a, b in pairwise(ends)]
        self._layers: dict[int, list[tuple[slice, OuterRows]]] = {}
        wide = count <= self.shape[1]  # else its transpose's Gram matrix is what is needed
        for i in range(len(sizes)):
            found = _factored(blocks, i, count) if wide else None
            if found:
                self._layers[i] = found
        self._groups = _groups([i for i in range(len(sizes)) if i not in self._layers], sizes, wide)
        self._written = _matrices(self._groups, sizes, count, space)
        for numbers, matrix in zip(self._groups, self._written, strict=True):
            _write(blocks, numbers, sizes, matrix)

    def gram(self) -> Tensor:
        """``S S^T``."""
        first, *others = (gram(matrix) for matrix in self._written)
        for other in others:
            first += other
        if self._layers:
            half = first.new_zeros(first.shape)
            for members in self._layers.values():
                _add_half_gram(half, members)
            first += half
            first += half.t()
        return first

    def gram_of_columns(self) -> Tensor:
        """``S^T S``; with more rows than columns alone."""
        (matrix,) = self._written
        return gram(matrix.t())

    def combined(self, v: Tensor) -> Tensor:
        """``S^T v`` ``[P]``."""
        found = v.new_zeros(self.shape[1])
        for numbers, matrix in zip(self._groups, self._written, strict=True):
            spans = [self._spans[i] for i in numbers]
            parts = torch.split(matrix.t() @ v, [span.stop - span.start for span in spans])
            for span, part in zip(spans, parts, strict=True):
                found[span] = part
        for i, members in self._layers.items():
            for rows, outer in members:
                found[self._spans[i]] += outer.combined(v[rows])
        return found

    def along(self, step: Tensor) -> Tensor:
        """``S step`` ``[N]``."""
        found = step.new_zeros(self.shape[0])
        for numbers, matrix in zip(self._groups, self._written, strict=True):
            if numbers:
                found.addmv_(matrix, torch.cat([step[self._spans[i]] for i in numbers]))
        for i, members in self._layers.items():
            direction = step[self._spans[i]].view(members[0][1].shape)
            for rows, outer in members:
                found[rows] += outer.along(direction)
        return found


def gram(a: Tensor) -> Tensor:
    """``a a^T``.

    On one thread of the CPU by NumPy, whose BLAS has a symmetric product (``dsyrk``), which torch
    lacks: half the multiplications. On several by torch: its threads wait
    busily for the next operation, and NumPy's, which are others, would compete with them.
    """
    if a.device.type == "cpu" and torch.get_num_threads() == 1:
        return torch.from_numpy(np.dot(a.numpy(), a.numpy().T))
    return a @ a.t()


def _groups(numbers: Sequence[int], sizes: Sequence[int], apart: bool) -> list[list[int]]:
    """Which parameters' rows are written side by side: the small ones, or all if not ``apart``.

    Those of a large one are contiguous on their own, which products of small matrices ask for.
    """
    large = [i for i in numbers if apart and sizes[i] >= _LARGE]
    return [[i for i in numbers if i not in large], *([i] for i in large)]


def _matrices(
    groups: Sequence[Sequence[int]], sizes: Sequence[int], count: int, space: Space
) -> list[Tensor]:
    """Memory for the rows of each group."""
    widths = [sum(sizes[i] for i in numbers) for numbers in groups]
    memory = torch.split(space(count, sum(widths)).view(-1), [count * w for w in widths])
    return [m.view(count, w) for m, w in zip(memory, widths, strict=True)]


def _write(
    blocks: Sequence[RowBlock], numbers: Sequence[int], sizes: Sequence[int], matrix: Tensor
) -> None:
    """Write the rows by some parameters side by side."""
    columns = torch.split(matrix, [sizes[i] for i in numbers], dim=1) if numbers else ()
    for i, own in zip(numbers, columns, strict=True):
        for block in blocks:
            part = block.parts.get(i)
            if part is None:
                own[block.rows] = 0.0
            else:
                part.write(own[block.rows])


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
