"""Outputs and their partial derivatives as symbols, and total derivatives in them."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from ..derivatives.indices import MultiIndex
from .specification_errors import LanguageError

MAX_ORDER = 8
"""Of derivatives: their terms grow faster than any power of the order."""
MAX_WORK = 40_000
"""Operations in all expressions of a problem that are differentiated: some ten seconds."""


class Jets:
    """The symbols of one problem: inputs, outputs, and outputs' derivatives as they are asked for.

    Args:
        inputs: names of the inputs; a derivative is a sorted tuple of their numbers.
        outputs: names of the outputs.
    """

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.coordinates = tuple(sp.Symbol(n, real=True) for n in inputs)
        self.opaque: dict[sp.Symbol, str] = {}
        self._work = 0
        self._symbols: dict[tuple[str, MultiIndex], sp.Symbol] = {}
        self._keys: dict[sp.Symbol, tuple[str, MultiIndex]] = {}

    def symbol(self, output: str, index: Sequence[int] = ()) -> sp.Symbol:
        """The symbol of an output's derivative; of the output itself without an index."""
        key = (output, tuple(sorted(index)))
        if len(key[1]) > MAX_ORDER:
            raise LanguageError(f"a derivative of order {len(key[1])}; at most {MAX_ORDER}")
        if key not in self._symbols:
            suffix = "".join(self.inputs[i] for i in key[1])
            # the name is for messages only: two Dummies are never the same
            made = sp.Dummy(f"{output}_{suffix}" if suffix else output, real=True)
            self._symbols[key], self._keys[made] = made, key
        return self._symbols[key]

    def key(self, symbol: sp.Symbol) -> tuple[str, MultiIndex] | None:
        """Output and derivative that a symbol stands for; ``None`` for other symbols."""
        return self._keys.get(symbol)

    def value_only(self, name: str) -> sp.Symbol:
        """A symbol known by its values alone (sensor data, numerical solutions, normals)."""
        for symbol, known in self.opaque.items():
            if known == name:
                return symbol
        made = sp.Dummy(name, real=True)
        self.opaque[made] = name
        return made

    def derivative(self, expression: sp.Expr, i: int) -> sp.Expr:
        """The total derivative in input i.

        Raises:
            LanguageError: of what is known by its values alone; of expressions that are too large.
        """
        self._work += int(expression.count_ops())
        if self._work > MAX_WORK:
            raise LanguageError(
                f"derivatives of expressions with more than {MAX_WORK} operations in all, which "
                "would take minutes: a tower of derivatives, or one of a product of many terms. "
                "Give the inner ones outputs of their own"
            )
        total = sp.diff(expression, self.coordinates[i])
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol in self.opaque:
                raise LanguageError(
                    f"a derivative of '{self.opaque[symbol]}', which is known by its values alone"
                )
            found = self.key(symbol)
            if found is not None:
                output, index = found
                total += sp.diff(expression, symbol) * self.symbol(output, (*index, i))
        return total
