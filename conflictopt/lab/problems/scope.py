"""The names and operators of one specification entry."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

import sympy as sp

from .jets import Jets
from .language import FUNCTIONS, Reader
from .specification_errors import LanguageError

OPERATORS = ("d", "lap", "gradsq", "dn", "sumi")
_ANY = "xi"  # inside sumi: the i-th space input
_NUMBER = "i"  # inside sumi: its number


class Scope(Reader):
    """Reads expressions of one entry, with derivatives and operators.

    Args:
        jets: inputs and outputs.
        names: parameters, unknowns and definitions.
        exact: per output its exact solution, where there is a closed form.
        normal: per space input the normal's component; ``None`` off the boundary.
    """

    def __init__(
        self,
        jets: Jets,
        names: Mapping[str, sp.Expr],
        exact: Mapping[str, sp.Expr],
        normal: Mapping[str, sp.Expr] | None = None,
    ) -> None:
        super().__init__({**dict(zip(jets.inputs, jets.coordinates, strict=True)), **names})
        self.jets = jets
        self.exact = exact
        self.normal = normal
        self.space = [n for n in jets.inputs if n != "t"]
        self._bound: list[int] = []

    def known(self) -> Sequence[str]:
        """Names, for messages."""
        return [*self.names, *self.jets.outputs, "<output>_<inputs>", "exact_*", "data_*"]

    def resolve(self, name: str) -> sp.Expr:
        """What a name stands for: a constant, an input, an output, a derivative, data."""
        if self._bound and name == _NUMBER:
            return sp.Integer(self._bound[-1])
        if self._bound and name == _ANY:
            return self.names[self.space[self._bound[-1] - 1]]
        if name in self.names:
            return self.names[name]
        if name in self.jets.outputs:
            return self.jets.symbol(name)
        head, _, tail = name.partition("_")
        if head == "exact" and tail in self.jets.outputs:
            return self.exact[tail] if self.exact else self.jets.value_only(name)
        if head == "data" and tail in self.jets.outputs:
            return self.jets.value_only(name)
        output, _, suffix = name.rpartition("_")
        if output in self.jets.outputs:
            return self.jets.symbol(output, self._derivative(name, suffix))
        return super().resolve(name)

    def _derivative(self, name: str, suffix: str) -> list[int]:
        names = [_ANY, *self.jets.inputs] if self._bound else self.jets.inputs
        tokens = derivative_of(suffix, names)
        if tokens is None:
            raise LanguageError(
                f"'{name}' is no derivative: '{suffix}' is not made of the inputs "
                f"({', '.join(self.jets.inputs)})"
            )
        current = self.space[self._bound[-1] - 1] if self._bound else ""
        return [self.jets.inputs.index(current if t == _ANY else t) for t in tokens]

    def call(self, function: str, arguments: Sequence[ast.expr]) -> sp.Expr:
        """A function or operator of its arguments."""
        if function not in OPERATORS:
            if function not in FUNCTIONS:
                known = ", ".join([*FUNCTIONS, *OPERATORS])
                raise LanguageError(f"unknown function '{function}' (known: {known})")
            return super().call(function, arguments)
        if function == "d":
            return self._partial(arguments)
        if len(arguments) != 1:
            raise LanguageError(f"'{function}' takes one argument, found {len(arguments)}")
        if function == "sumi":
            return self._sum(arguments[0])
        operand = self.walk(arguments[0])
        slopes = {s: self._along(operand, s) for s in self.space}
        if function == "lap":
            return sp.Add(*(self._along(slope, s) for s, slope in slopes.items()))
        if function == "gradsq":
            return sp.Add(*(slope**2 for slope in slopes.values()))
        if self.normal is None:
            raise LanguageError("'dn' away from the boundary")
        return sp.Add(*(self.normal[s] * slope for s, slope in slopes.items()))

    def _along(self, expression: sp.Expr, coordinate: str) -> sp.Expr:
        return self.jets.derivative(expression, self.jets.inputs.index(coordinate))

    def _partial(self, arguments: Sequence[ast.expr]) -> sp.Expr:
        names = [a.id if isinstance(a, ast.Name) else ast.unparse(a) for a in arguments[1:]]
        if self._bound:
            names = [self.space[self._bound[-1] - 1] if n == _ANY else n for n in names]
        if not names or any(n not in self.jets.inputs for n in names):
            found_call = f"d({', '.join(map(ast.unparse, arguments))})"
            raise LanguageError(
                "'d' takes an expression and the inputs to differentiate by "
                f"({', '.join(self.jets.inputs)}), found {found_call}"
            )
        found = self.walk(arguments[0])
        for name in names:
            found = self._along(found, name)
        return found

    def _sum(self, body: ast.expr) -> sp.Expr:
        terms = []
        for number in range(1, len(self.space) + 1):
            self._bound.append(number)
            try:
                terms.append(self.walk(body))
            finally:
                self._bound.pop()
        return sp.Add(*terms)


def derivative_of(suffix: str, inputs: Sequence[str]) -> list[str] | None:
    """The inputs that a suffix such as ``xxt`` names; ``None`` if it is not made of them."""
    found, rest = [], suffix
    while rest:
        fitting = [n for n in inputs if rest.startswith(n)]
        if not fitting:
            return None
        found.append(max(fitting, key=len))
        rest = rest[len(found[-1]) :]
    return found or None
