"""Rows of the Jacobian by one parameter: as numbers, or as factors that multiply out to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PlainRows:
    """Rows as they are.

    Attributes:
        values: ``[k, numel]``.
    """

    values: Tensor

    def scaled(self, factor: float) -> PlainRows:
        """The same rows times a number, in float64."""
        return PlainRows(self.values.double() * factor)

    def absolute(self) -> PlainRows:
        """An upper bound of the absolute values of the entries."""
        return PlainRows(self.values.abs())

    def combined(self, v: Tensor) -> Tensor:
        """``sum_i v_i row_i`` ``[numel]``."""
        return v @ self.values

    def write(self, out: Tensor) -> None:
        """Write the rows to ``out`` ``[k, numel]``."""
        out.copy_(self.values)


@dataclass(frozen=True)
class OuterRows:
    """Row i is ``sum_j left_ij right_ij^T``, over all pairs and the q summands of each.

    The factors of a large matrix take a small part of the memory of its rows, and products with
    the rows have no need of these.

    Attributes:
        pairs: of ``left`` ``[k, q, out]`` and ``right`` ``[k, q, in]``.
    """

    pairs: tuple[tuple[Tensor, Tensor], ...]

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.pairs[0][0])

    @property
    def summands(self) -> int:
        """How many outer products a row is the sum of."""
        return sum(left.shape[1] for left, _ in self.pairs)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the parameter, ``(out, in)``."""
        left, right = self.pairs[0]
        return left.shape[2], right.shape[2]

    def scaled(self, factor: float) -> OuterRows:
        """The same rows times a number, in float64."""
        return OuterRows(tuple((a.double() * factor, b.double()) for a, b in self.pairs))

    def absolute(self) -> OuterRows:
        """An upper bound of the absolute values of the entries."""
        return OuterRows(tuple((a.abs(), b.abs()) for a, b in self.pairs))

    def combined(self, v: Tensor) -> Tensor:
        """``sum_i v_i row_i`` ``[out in]``."""
        found = torch.zeros(self.shape, dtype=v.dtype, device=v.device)
        for left, right in self.pairs:
            found.addmm_((left * v[:, None, None]).flatten(0, 1).t(), right.flatten(0, 1))
        return found.view(-1)

    def along(self, direction: Tensor) -> Tensor:
        """``[k]`` products of the rows with ``direction`` ``[out, in]``."""
        products = [((left @ direction) * right).sum((1, 2)) for left, right in self.pairs]
        return products[0] if len(products) == 1 else torch.stack(products).sum(0)

    def write(self, out: Tensor) -> None:
        """Write the rows to ``out`` ``[k, out in]``."""
        left, right = (
            found[0] if len(found) == 1 else torch.cat(found, dim=1)
            for found in zip(*self.pairs, strict=True)
        )
        target = out.view(len(out), *self.shape)
        if left.shape[1] == 1:
            torch.mul(left.transpose(1, 2), right, out=target)
        elif target.is_contiguous() and target.dtype == left.dtype:
            torch.bmm(left.transpose(1, 2), right, out=target)
        else:
            target.copy_(torch.bmm(left.transpose(1, 2), right))

    def slots(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each summand of all rows: ``left`` ``[k, out]`` and ``right`` ``[k, in]``."""
        for left, right in self.pairs:
            yield from zip(left.unbind(1), right.unbind(1), strict=True)


Part = PlainRows | OuterRows
Parts = dict[int, Part]
"""Rows by all parameters, by their numbers; left out where they are zero."""
