"""Reading the fields of an entry of the specification: numbers, functions, formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import sympy as sp

from .auxiliary import Auxiliary, Index
from .fourier import Array
from .reference_error import ReferenceSolutionError
from .strip import Strip

Parse = Callable[[Any, Mapping[str, sp.Expr]], sp.Expr]
HIGHEST_ORDER = 4  # derivative of the main output that a formula may use


@dataclass(frozen=True)
class Fields:
    """An entry, the values of its parameters, and how to read its expressions.

    Every method takes the path of a field, such as ``reference.etdrk4.pointwise``, and names it
    in the ``ReferenceSolutionError`` that it raises for a field that is missing or wrong.

    Attributes:
        entry: the entry as plain data.
        numbers: values of parameters and unknowns.
        parse: from an expression and what its names stand for to sympy.
    """

    entry: Mapping[str, Any]
    numbers: Mapping[str, float]
    parse: Parse

    def has(self, path: str) -> bool:
        """Whether the field is there."""
        return _find(self.entry, path) is not None

    def value(self, path: str) -> Any:
        """The field as it stands."""
        found = _find(self.entry, path)
        if found is None:
            raise ReferenceSolutionError(f"{path}: missing.")
        return found

    def expression(self, path: str, names: Mapping[str, sp.Expr]) -> sp.Expr:
        """The field as an expression in these names and the parameters' symbols."""
        clash = names.keys() & self.numbers.keys()
        if clash:
            raise ReferenceSolutionError(
                f"{path}: '{min(clash)}' is a parameter, and here also "
                f"one of {', '.join(names)}; rename the parameter."
            )
        try:
            return self.parse(self.value(path), {**self._parameters, **names})
        except ReferenceSolutionError:
            raise
        except ValueError as error:
            raise ReferenceSolutionError(f"{path}: {error}") from error

    def number(self, path: str) -> float:
        """The field as an expression of the parameters alone, evaluated."""
        value = self.callable(self.expression(path, {}), [])()
        if not np.isreal(value) or not np.isfinite(value):
            raise ReferenceSolutionError(f"{path}: expected a finite number, found {value}.")
        return float(value)

    def whole(self, path: str) -> int:
        """The field as a whole number."""
        value = self.number(path)
        if value != int(value):
            raise ReferenceSolutionError(f"{path}: expected a whole number, found {value}.")
        return int(value)

    def strip(self) -> Strip:
        """The inputs and their domain."""
        inputs = tuple(self.value("inputs"))
        ends = {name: self.value(f"domain.{name}") for name in inputs}
        for name, pair in ends.items():
            if len(pair) != 2:
                raise ReferenceSolutionError(f"domain.{name}: expected two ends, found {pair!r}.")
        return Strip(
            inputs,
            tuple(
                (self.number(f"domain.{name}.0"), self.number(f"domain.{name}.1"))
                for name in inputs
            ),
        )

    def auxiliary(self, path: str, main: str, coordinate: str) -> Auxiliary:
        """The field as a formula in the main output and its derivatives in one input."""
        indices: list[Index] = [(coordinate,) * order for order in range(HIGHEST_ORDER + 1)]
        symbols = [sp.Symbol("_".join([main, "".join(i)]).rstrip("_"), real=True) for i in indices]
        expression = self.expression(path, {s.name: s for s in symbols})
        used = [n for n, s in enumerate(symbols) if s in expression.free_symbols]
        compiled = self.callable(expression, [symbols[n] for n in used])

        def formula(derivatives: Mapping[Index, Array]) -> Array:
            return np.asarray(compiled(*(derivatives[indices[n]] for n in used)))

        return Auxiliary(max(used, default=0), formula)

    def callable(self, expression: sp.Expr, variables: Sequence[sp.Symbol]) -> Callable[..., Any]:
        """A numpy function of these variables, the parameters at their values."""
        parameters = self._parameters
        compiled = sp.lambdify([*parameters.values(), *variables], expression, modules="numpy")
        return partial(compiled, *(float(self.numbers[name]) for name in parameters))

    @property
    def _parameters(self) -> dict[str, sp.Symbol]:
        # symbols rather than values: a sympy number would be rounded when it is printed
        return {name: sp.Symbol(name, real=True) for name in self.numbers}


def _find(data: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(data, Mapping):
            data = data.get(key)
        elif isinstance(data, Sequence) and not isinstance(data, str) and key.isdecimal():
            data = data[int(key)] if int(key) < len(data) else None
        else:
            return None
    return data
