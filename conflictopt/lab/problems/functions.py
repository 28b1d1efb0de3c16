"""From sympy expressions to functions of numpy arrays and of torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp
import torch

from .geometry import Array

_TORCH = {
    name: getattr(torch, name)
    for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh", "atan", "sign")
} | {"Abs": torch.abs}
COMPUTABLE = frozenset(_TORCH)
"""Functions that compiled expressions may hold; ``sign`` comes from the derivative of ``Abs``."""


def array_function(
    arguments: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]
) -> Callable[..., list[Array]]:
    """A function of one array ``[N]`` per argument, giving one array ``[N]`` per expression.

    The arguments are replaced by names of their own, so that no text of a specification becomes
    part of the generated code.
    """
    safe = _placeholders(len(arguments))
    inner = [e.xreplace(dict(zip(arguments, safe, strict=True))) for e in expressions]
    compiled = sp.lambdify(safe, inner, modules="numpy", cse=True)

    def evaluate(*values: Array) -> list[Array]:
        n = len(values[0])
        with np.errstate(all="ignore"):
            found = compiled(*values)
        return [np.broadcast_to(np.asarray(v, dtype=float), (n,)) for v in found]

    return evaluate


@dataclass
class Fixed:
    """Collects the parts of expressions that depend on the points alone.

    They are evaluated once for all points, in float64, instead of at every step.

    Attributes:
        symbols: per collected expression the symbol that stands for it.
    """

    symbols: dict[sp.Expr, sp.Symbol] = field(default_factory=dict)

    def take_out(self, expression: sp.Expr, live: frozenset[sp.Symbol]) -> sp.Expr:
        """The expression with its fixed parts replaced.

        Args:
            expression: any.
            live: the symbols that change from step to step.
        """
        if not expression.free_symbols:
            return expression
        if not expression.free_symbols & live:
            return self.symbols.setdefault(expression, sp.Dummy("c"))
        if expression.is_Symbol:
            return expression
        if isinstance(expression, (sp.Add, sp.Mul)):
            still = [a for a in expression.args if not a.free_symbols & live]
            moving = [self.take_out(a, live) for a in expression.args if a.free_symbols & live]
            if still:
                moving.append(self.take_out(expression.func(*still), live))
            return expression.func(*moving)
        return expression.func(*(self.take_out(a, live) for a in expression.args))


def _placeholders(count: int) -> list[sp.Symbol]:
    """Symbols for arguments. sympy sorts terms by name: names decide the order of summation.

    Numbered within the function, for sums to be the same in every process; no Dummies, which
    ``lambdify`` would replace by others, numbered through the process.
    """
    return [sp.Symbol(f"a{i:05d}") for i in range(count)]


def tensor_function(arguments: Sequence[sp.Symbol], expression: sp.Expr) -> Callable[..., Any]:
    """A function of tensors, one per argument."""
    safe = _placeholders(len(arguments))
    inner = expression.xreplace(dict(zip(arguments, safe, strict=True)))
    # torch's functions take no plain numbers, such as the 20 of sqrt(20)
    inner = inner.replace(lambda e: e.is_number and not e.is_Rational, lambda e: e.evalf(20))
    # written out, sympy's sign compares numbers
    inner = inner.replace(sp.sign, sp.Function("sign_of"))
    known = {**_TORCH, "sign_of": torch.sign}
    compiled: Callable[..., Any] = sp.lambdify(safe, inner, modules=[known, "math"], cse=True)
    return compiled
