"""Rows of the Jacobian from the factors that one backward pass keeps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from .capture import CoupledRowsError, Factors, Tape
from .mapping import RowMap, covers, row_map
from .parts import OuterRows, Part, Parts, PlainRows

Key = tuple[int, int, int]
"""Which residual set, which of its columns, and how many rows it has."""


COUPLED = "are coupled"
"""A batch row acts on several residual rows."""


class LayerRows:
    """Parameters that act by linear maps: about one backward pass for all rows.

    What the parameters of linear layers are multiplied by is kept as the backward pass comes by,
    under derivatives of any order. Which batch rows a residual row depends on is found out by two
    passes when a residual is met first.

    Args:
        params: all parameters.
        tape: that the residuals were evaluated with.
    """

    def __init__(self, params: Sequence[Tensor], tape: Tape) -> None:
        self._params = tuple(params)
        self._tape = tape
        self._maps: dict[Key, dict[int, list[RowMap]]] = {}

    def of(
        self, r: Tensor, key: Key, rows: Tensor | None, numbers: Sequence[int]
    ) -> tuple[Parts, list[int]]:
        """Rows of ``d r / d p``.

        Args:
            r: ``[n]`` all rows of the residual.
            key: of this residual, the same at every step.
            rows: ``[k]`` which rows; ``None`` for all.
            numbers: of the parameters that are asked for.

        Returns:
            Per number k rows, left out where they are zero; and the numbers of those of which they
            are not to be had, as they are used otherwise than by linear maps.

        Raises:
            CoupledRowsError: rows cannot be told apart.
        """
        if key not in self._maps:
            self._maps[key] = self._find_maps(r, numbers)
        found, others = self._factors(r if rows is None else r[rows], numbers)
        maps = self._maps[key]
        if not all(i in maps and covers(maps[i], f) for i, f in found.items()):
            maps = self._maps[key] = self._find_maps(r, numbers)
            if not all(i in maps and covers(maps[i], f) for i, f in found.items()):
                raise CoupledRowsError(COUPLED)
        kept = [i for i in found if i not in others]
        return {i: _part(found[i], maps[i], rows) for i in kept}, others

    def forget(self) -> None:
        """Find out anew which batch rows belong to which residual row."""
        self._maps.clear()

    def _factors(
        self, r: Tensor, numbers: Sequence[int], seeds: Tensor | None = None
    ) -> tuple[dict[int, list[Factors]], list[int]]:
        if not numbers:
            return {}, []
        seed = torch.ones_like(r) if seeds is None else seeds
        params = [self._params[i] for i in numbers]
        if not params:  # all of them are used otherwise
            return {}, []
        run = partial(torch.autograd.grad, r, params, seed, retain_graph=True, allow_unused=True)
        found, rest = self._tape.record(run)
        others = [i for i, g in zip(numbers, rest, strict=True) if g is not None]
        return {i: f for i, f in found.items() if i in numbers}, others

    def _find_maps(self, r: Tensor, numbers: Sequence[int]) -> dict[int, list[RowMap]]:
        generator = torch.Generator(device="cpu").manual_seed(len(r))
        order = torch.randperm(len(r), generator=generator, device="cpu")
        seeds = (1 + (order + 1.0).double() / (len(r) + 1)).to(r.device, r.dtype)
        plain, others = self._factors(r, numbers)
        seeded, _ = self._factors(r, numbers, seeds)
        maps: dict[int, list[RowMap]] = {}
        for i, factors in plain.items():
            if i in others:
                continue
            for one, other in zip(factors, seeded[i], strict=True):
                found = row_map(one, other, seeds)
                if found is None:
                    raise CoupledRowsError(COUPLED)
                maps.setdefault(i, []).append(found)
        return maps


def _part(factors: list[Factors], maps: list[RowMap], rows: Tensor | None) -> Part:
    """The k rows of one parameter."""
    left = [m.gather(f.left, rows) for f, m in zip(factors, maps, strict=True)]
    if factors[0].right is None:
        return PlainRows((left[0] if len(left) == 1 else torch.cat(left, dim=1)).sum(1))
    pairs = zip(factors, maps, strict=True)
    right = [m.gather(f.right, rows) for f, m in pairs if f.right is not None]
    return OuterRows(tuple(zip(left, right, strict=True)))
