"""Residuals of several members at their points, from one evaluation of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from ..derivatives.indices import MultiIndex, Wanted
from .functions import Fixed, array_function, tensor_function
from .geometry import Array
from .operators import DerivativePlan, plan
from .points import SharedPoints
from .solution import Solution
from .spec import LossMember, ProblemSpec

Derive = Callable[
    [Tensor, Wanted, Sequence[Tensor]], tuple[dict[MultiIndex, Tensor], tuple[Tensor, ...]]
]
"""Points, wanted derivatives and weights of operators -> derivatives, as ``taylor.derivatives``."""


@dataclass(frozen=True)
class ResidualTask:
    """A member to evaluate, with the loss it belongs to and its points."""

    loss: str
    member: LossMember
    block: SharedPoints


@dataclass(frozen=True)
class _Program:
    """One member's residual as a function of columns, unknowns and fixed values.

    Attributes:
        function: of all of them.
        columns: per column the output's number and the derivative, or the operator's number.
        unknowns: names.
        spans: numbers of the row spans on which it is evaluated; two for a periodic pair.
        fixed: per span the fixed values ``[n]``.
    """

    function: Callable[..., Any]
    columns: tuple[tuple[int, MultiIndex | int], ...]
    unknowns: tuple[str, ...]
    spans: tuple[int, ...]
    fixed: tuple[tuple[Tensor, ...], ...]


class Assembly:
    """The members of some losses at the points of a run.

    Args:
        spec: the problem.
        solution: for exact values without a closed form.
        tasks: members with their points.
        dtype: of the computation.
    """

    def __init__(
        self,
        spec: ProblemSpec,
        solution: Solution,
        tasks: Sequence[ResidualTask],
        dtype: torch.dtype,
    ) -> None:
        self._spec, self._solution, self._dtype = spec, solution, dtype
        self.tasks = tuple(tasks)
        self.blocks: tuple[SharedPoints, ...] = tuple(
            {id(t.block): t.block for t in tasks}.values()
        )
        self._spans: list[tuple[Array, dict[sp.Symbol, Array]]] = []
        placed: dict[int, tuple[int, ...]] = {}
        spans = [self._place(task, placed) for task in tasks]
        self.x = self._tensor(np.concatenate([x for x, _ in self._spans]))
        self._sizes = [len(x) for x, _ in self._spans]
        known = frozenset(spec.jets.coordinates) | frozenset(spec.jets.opaque)
        planned = plan(spec.jets, [t.member.expression for t in tasks], known)
        self.wanted = planned.wanted
        self.weights = tuple(
            self._weights(number, expressions, planned, spans)
            for number, expressions in enumerate(planned.weights)
        )
        self._programs = tuple(
            self._program(e, planned.symbols, own)
            for e, own in zip(planned.expressions, spans, strict=True)
        )

    def at_rows(self, rows: Sequence[Tensor]) -> Assembly:
        """The same members at some of their points.

        Args:
            rows: per block of ``blocks`` which of its points.
        """
        chosen = [r for b, r in zip(self.blocks, rows, strict=True) for _ in _halves(b)]
        starts = np.cumsum([0, *self._sizes]).tolist()
        whole = torch.cat([start + r for start, r in zip(starts, chosen, strict=False)])
        part = copy(self)
        part.x = self.x[whole]
        part._sizes = [len(r) for r in chosen]
        part.weights = tuple(w if w.shape[1] == 1 else w[:, whole] for w in self.weights)
        part._programs = tuple(
            replace(
                p,
                fixed=tuple(
                    tuple(v if v.ndim == 0 or len(v) == 1 else v[chosen[span]] for v in values)
                    for span, values in zip(p.spans, p.fixed, strict=True)
                ),
            )
            for p in self._programs
        )
        return part

    def points_of(self, task: int) -> Tensor:
        """Points ``[n, d]`` of one task; of a periodic pair those on the first face."""
        return torch.split(self.x, self._sizes)[self._programs[task].spans[0]]

    def residuals(self, derive: Derive, unknowns: Mapping[str, Tensor]) -> list[Tensor]:
        """Per task its residual ``[n]``.

        Args:
            derive: the network's derivatives.
            unknowns: per unknown its present value.
        """
        found, sums = derive(self.x, self.wanted, self.weights)
        columns = _Columns(found, sums, self._sizes)
        results = []
        for program in self._programs:
            scalars = [unknowns[name] for name in program.unknowns]
            values = [
                program.function(*columns.of(program.columns, span), *scalars, *fixed)
                for span, fixed in zip(program.spans, program.fixed, strict=True)
            ]
            results.append(values[0] - values[1] if len(values) == 2 else values[0])
        return results

    def _place(self, task: ResidualTask, placed: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
        """The row spans of a task; tasks with the same block share them."""
        key = id(task.block)
        if key not in placed:
            halves = _halves(task.block)
            placed[key] = tuple(range(len(self._spans), len(self._spans) + len(halves)))
            self._spans.extend((x, self._opaque(x, task.block)) for x in halves)
        return placed[key]

    def _opaque(self, x: Array, block: SharedPoints) -> dict[sp.Symbol, Array]:
        """Values of the symbols that are known by their values alone."""
        known: dict[sp.Symbol, Array] = {}
        for symbol, name in self._spec.jets.opaque.items():
            kind, _, what = name.partition("_")
            if kind == "normal" and block.points.normal is not None:
                known[symbol] = block.points.normal[:, self._spec.geometry.space.index(int(what))]
            elif kind == "data" and what in block.data:
                known[symbol] = block.data[what]
            elif kind == "exact":
                known[symbol] = self._solution.values(x)[what]
        return known

    def _evaluate(self, span: int, expressions: Sequence[sp.Expr]) -> list[Array]:
        x, opaque = self._spans[span]
        arguments = [*self._spec.jets.coordinates, *opaque]
        return array_function(arguments, expressions)(*x.T, *opaque.values())

    def _weights(
        self,
        number: int,
        expressions: Sequence[sp.Expr],
        planned: DerivativePlan,
        spans: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """Weights of one operator ``[terms, N]``; 0 on rows where it is not used."""
        if not any(e.free_symbols for e in expressions):
            return self._tensor(np.array([[float(e)] for e in expressions]))
        own = {s for s, (_, index) in planned.symbols.items() if index == number}
        used = {
            span
            for e, spans_of in zip(planned.expressions, spans, strict=True)
            if e.free_symbols & own
            for span in spans_of
        }
        parts = [
            np.stack(self._evaluate(i, expressions))
            if i in used
            else np.zeros((len(expressions), len(x)))
            for i, (x, _) in enumerate(self._spans)
        ]
        return self._tensor(np.concatenate(parts, axis=1))

    def _program(
        self,
        expression: sp.Expr,
        symbols: Mapping[sp.Symbol, tuple[str, MultiIndex | int]],
        spans: tuple[int, ...],
    ) -> _Program:
        outputs = self._spec.outputs
        names = {u.symbol: name for name, u in self._spec.unknowns.items()}
        present = expression.free_symbols
        columns = sorted((s for s in present if s in symbols), key=str)
        unknowns = [s for s in names if s in present]
        fixed = Fixed()
        reduced = fixed.take_out(expression, frozenset([*columns, *unknowns]))
        function = tensor_function([*columns, *unknowns, *fixed.symbols.values()], reduced)
        values = tuple(
            tuple(self._tensor(v) for v in self._evaluate(span, list(fixed.symbols)))
            for span in spans
        )
        keys = tuple((outputs.index(symbols[s][0]), symbols[s][1]) for s in columns)
        return _Program(function, keys, tuple(names[s] for s in unknowns), spans, values)

    def _tensor(self, values: Array) -> Tensor:
        return torch.tensor(np.ascontiguousarray(values), dtype=self._dtype, device="cpu")


def _halves(block: SharedPoints) -> list[Array]:
    """The points of a block; of a periodic pair those of both faces."""
    points = block.points
    return [points.x] if points.partner is None else [points.x, points.partner]


class _Columns:
    """Columns of derivatives, cut into spans of rows; each cut is made once."""

    def __init__(
        self, found: dict[MultiIndex, Tensor], sums: tuple[Tensor, ...], sizes: list[int]
    ) -> None:
        self._partials, self._sums = found, sums
        self._outputs: dict[MultiIndex | int, tuple[Tensor, ...]] = {}
        self._cut: dict[tuple[int, MultiIndex | int], tuple[Tensor, ...]] = {}
        self._sizes = sizes

    def of(self, keys: Sequence[tuple[int, MultiIndex | int]], span: int) -> list[Tensor]:
        """The columns ``[n]`` of one span."""
        return [self._column(key)[span] for key in keys]

    def _column(self, key: tuple[int, MultiIndex | int]) -> tuple[Tensor, ...]:
        if key not in self._cut:
            output, index = key
            if index not in self._outputs:
                # unbind and split: a slice's gradient would be as large as what it is cut from
                values = self._sums[index] if isinstance(index, int) else self._partials[index]
                self._outputs[index] = values.unbind(1)
            column = self._outputs[index][output]
            self._cut[key] = torch.split(column, self._sizes) if len(self._sizes) > 1 else (column,)
        return self._cut[key]
