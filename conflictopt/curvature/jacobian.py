"""Rows of the Jacobian of all residuals, each by the cheapest engine that can."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from ..core.errors import MethodError
from .capture import CoupledRowsError, Tape, captured
from .layers import COUPLED, Key, LayerRows
from .parts import Parts, PlainRows
from .residuals import ResidualClosure, ResidualSet, read
from .rows import BatchedRows, scalar_columns

Engine = Literal["auto", "layers", "batched"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

FEW = 16
"""Scalars outside linear maps up to which a column for each is the cheapest."""

_CHECKED_EVERY = 50
"""Of so many fills of a residual the first two are checked against a product with the Jacobian: the
second because it goes by what the first found out of the rows.
"""


class RowJacobian:
    """Differentiates single rows of residuals by all parameters.

    ``"layers"``: parameters of linear maps, from one backward pass for all rows. Few scalars
    elsewhere, the unknowns of an inverse problem, get one column each. ``"batched"``: one
    vectorised backward pass for 64 rows; for other parameters, and for residuals whose rows are
    coupled (integral operators, batch normalisation). ``"auto"`` uses the first for what it can.

    Args:
        params: by which to differentiate; their scalars are the columns, in order.
        engine: which engine.

    Attributes:
        size: P.
        notes: in what order things were found out, one sentence each.

    Raises:
        MethodError: another engine.
    """

    def __init__(self, params: Sequence[Tensor], engine: Engine = "auto") -> None:
        if engine not in ENGINES:
            raise MethodError(f"expected engine as one of {', '.join(ENGINES)}, found {engine!r}.")
        self.params = tuple(params)
        self.size = sum(p.numel() for p in self.params)
        self.notes: list[str] = []
        self._engine = engine
        self._tape = Tape(self.params)
        self._layers, self._batched = LayerRows(self.params, self._tape), BatchedRows()
        self._others: tuple[int, ...] = ()
        self._coupled: set[tuple[int, int]] = set()
        self._fills: dict[Key, int] = {}
        ends = torch.tensor([0, *(p.numel() for p in self.params)]).cumsum(0).tolist()
        self._spans = [slice(a, b) for a, b in pairwise(ends)]

    def evaluate(self, closure: ResidualClosure) -> tuple[ResidualSet, ...]:
        """The residuals at the present parameters, such that their rows can be differentiated.

        Raises:
            LossError: see ``residuals.read``.
        """
        with torch.enable_grad():
            if self._engine == "batched":
                return read(closure())
            with captured(self._tape):
                return read(closure())

    def doubt(self) -> None:
        """Check the next rows of every residual, as a step along these led nowhere."""
        self._fills.clear()

    def fill(
        self, sets: Sequence[ResidualSet], number: int, rows: Tensor | None, out: Tensor
    ) -> None:
        """Write rows of ``d values / d theta``, not scaled.

        Args:
            sets: as ``evaluate`` returned them.
            number: of the set.
            rows: ``[k]`` which rows; ``None`` for all.
            out: ``[k m, P]``, the m entries of a row one after the other.

        Raises:
            MethodError: see ``parts``.
        """
        columns = self.parts(sets, number, rows)
        entries = out.view(-1, len(columns), self.size)
        for column, parts in enumerate(columns):
            for i, span in enumerate(self._spans):
                if i in parts:
                    parts[i].write(entries[:, column, span])
                else:
                    entries[:, column, span] = 0.0

    @torch.enable_grad()
    def parts(self, sets: Sequence[ResidualSet], number: int, rows: Tensor | None) -> list[Parts]:
        """Rows of ``d values / d theta``, not scaled and by parameter.

        Args:
            sets: as ``evaluate`` returned them.
            number: of the set.
            rows: ``[k]`` which rows; ``None`` for all.

        Returns:
            For each of the m entries of a row its k rows.

        Raises:
            MethodError: rows that ``engine="layers"`` cannot tell apart.
        """
        values = sets[number].values
        if not values.requires_grad:
            return [{} for _ in range(values.shape[1])]
        columns = range(values.shape[1])
        return [self._column(values[:, c], (number, c), rows) for c in columns]

    def _column(self, r: Tensor, place: tuple[int, int], rows: Tensor | None) -> Parts:
        everything = range(len(self.params))
        if self._engine == "batched" or place in self._coupled:
            return self._by_batches(r, rows, everything)
        try:
            return self._by_layers(r, place, rows)
        except CoupledRowsError as error:
            if self._engine == "layers":
                raise MethodError(
                    "expected residual rows that depend on their own points alone, found some that "
                    f"{error}; engine='auto' differentiates them one by one."
                ) from None
            self._coupled.add(place)
            self.notes.append(f"rows of residual {place[0]} {error}: each takes a backward pass")
            return self._by_batches(r, rows, everything)

    def _by_layers(self, r: Tensor, place: tuple[int, int], rows: Tensor | None) -> Parts:
        numbers = [i for i in range(len(self.params)) if i not in self._others]
        key = (*place, len(r))
        found, others = self._layers.of(r, key, rows, numbers)
        if others:
            self._others = tuple(sorted({*self._others, *others}))
            size = sum(self.params[i].numel() for i in self._others)
            how = "a column each" if size <= FEW else "a backward pass for each row"
            self.notes.append(f"{size} scalars act otherwise than by linear maps: {how}")
        if self._others:
            found |= self._of_others(r, rows)
        seen = self._fills.get(key, 0)
        self._fills[key] = seen + 1
        if seen % _CHECKED_EVERY < 2 and not self._agrees(r, rows, found):
            self._layers.forget()
            self.doubt()
            raise CoupledRowsError(COUPLED)
        return found

    def _of_others(self, r: Tensor, rows: Tensor | None) -> Parts:
        own = [self.params[i] for i in self._others]
        if sum(p.numel() for p in own) > FEW:
            return self._by_batches(r, rows, self._others)
        columns = scalar_columns(r if rows is None else r[rows], own)
        return {i: PlainRows(c) for i, c in zip(self._others, columns, strict=True)}

    def _by_batches(self, r: Tensor, rows: Tensor | None, numbers: Sequence[int]) -> Parts:
        chosen = r if rows is None else r[rows]
        found = self._batched.of(chosen, [self.params[i] for i in numbers])
        return {i: PlainRows(values) for i, values in zip(numbers, found, strict=True)}

    def _agrees(self, r: Tensor, rows: Tensor | None, found: Parts) -> bool:
        """Whether a random combination of the rows is what a backward pass gives."""
        chosen = r if rows is None else r[rows]
        generator = torch.Generator(device="cpu").manual_seed(len(chosen))
        v = torch.randn(len(chosen), generator=generator, dtype=torch.float64, device="cpu")
        v = v.to(r.device, r.dtype)
        grads = torch.autograd.grad(chosen, self.params, v, retain_graph=True, allow_unused=True)
        sizes, apart = [], []
        for i, g in enumerate(grads):
            expected = r.new_zeros(1) if g is None else g.reshape(-1)
            if i in found:
                part = found[i].scaled(1.0)  # float64, as the rows of a step are
                sizes.append(part.absolute().combined(v.double().abs()).max())
                apart.append((part.combined(v.double()) - expected.double()).abs().max())
            else:
                apart.append(expected.double().abs().max())
        size = float(torch.stack(sizes).max()) if sizes else 0.0
        allowed = 1e3 * torch.finfo(r.dtype).eps * max(size, 1e-300)
        return float(torch.stack(apart).max()) <= allowed
