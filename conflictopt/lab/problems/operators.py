"""Finds the sums of derivatives in a set of equations that can travel as one component.

``u_t - nu*(u_xx + u_yy)`` needs the components u, u_x, u_y, u_t, u_xx, u_yy; as an operator it
needs u, u_x, u_y and itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sympy as sp

from ..derivatives.indices import MultiIndex, Operator, Wanted
from .jets import Jets


@dataclass(frozen=True)
class WeightedOperator:
    """An operator with its weights as expressions in the inputs."""

    operator: Operator
    weights: tuple[sp.Expr, ...]


@dataclass(frozen=True)
class DerivativePlan:
    """What to compute for a set of expressions, and the expressions in terms of it.

    Attributes:
        wanted: partial derivatives and operators.
        weights: of the operators.
        expressions: rewritten.
        symbols: per symbol in them the output and the derivative or the operator's number.
    """

    wanted: Wanted
    weights: tuple[tuple[sp.Expr, ...], ...]
    expressions: tuple[sp.Expr, ...]
    symbols: dict[sp.Symbol, tuple[str, MultiIndex | int]]


@dataclass(frozen=True)
class _Found:
    """In one expression, for one output: ``scale * operator(output)`` and the rest."""

    output: str
    scale: sp.Expr
    seconds: dict[int, sp.Expr]
    firsts: dict[int, sp.Expr]


def plan(jets: Jets, expressions: Sequence[sp.Expr], fixed: frozenset[sp.Symbol]) -> DerivativePlan:
    """Decide what to compute: operators where they make the components fewer.

    Args:
        jets: of the entry.
        expressions: residuals that are evaluated at the same points.
        fixed: the symbols that are known at every point.
    """
    found = [_operators_in(jets, e, fixed) for e in expressions]
    plain = _rewrite(jets, expressions, [[] for _ in expressions], frozenset())
    if not any(found):
        return plain
    absorbable = _absorbable(jets, expressions, found)
    with_operators = _rewrite(jets, expressions, found, absorbable)
    fewer = _components(with_operators.wanted) < _components(plain.wanted)
    return with_operators if fewer else plain


def _components(wanted: Wanted) -> int:
    return len(wanted.closure()) + len(wanted.operators)


def _jets_of(jets: Jets, expression: sp.Expr) -> dict[sp.Symbol, tuple[str, MultiIndex]]:
    keys = ((s, jets.key(s)) for s in expression.free_symbols)
    return {s: key for s, key in keys if key is not None}


def _operators_in(jets: Jets, expression: sp.Expr, fixed: frozenset[sp.Symbol]) -> list[_Found]:
    """Per output the pure second derivatives that occur linearly, in fixed proportions."""
    present = _jets_of(jets, expression)
    found = []
    for output in jets.outputs:
        seconds = {
            index[0]: expression.diff(s)
            for s, (o, index) in present.items()
            if o == output and len(index) == 2 and index[0] == index[1]
        }
        if not seconds:
            continue
        own = {jets.symbol(output, (i, i)) for i in seconds}
        if any(c.free_symbols & own for c in seconds.values()):
            continue
        firsts = {
            index[0]: expression.diff(s)
            for s, (o, index) in present.items()
            if o == output and len(index) == 1 and index[0] not in seconds
        }
        weighted = _weights(dict(sorted(seconds.items())), dict(sorted(firsts.items())), fixed)
        if weighted is not None:
            found.append(_Found(output, *weighted))
    return found


def _weights(
    seconds: dict[int, sp.Expr], firsts: dict[int, sp.Expr], fixed: frozenset[sp.Symbol]
) -> tuple[sp.Expr, dict[int, sp.Expr], dict[int, sp.Expr]] | None:
    """A common factor, and the weights without it; ``None`` if they are not in fixed proportions.

    Only a number is divided by where proportions depend on the inputs: anything else may vanish.
    """
    scale = next(iter(seconds.values()))
    if not scale.is_number and all(c.free_symbols <= fixed for c in seconds.values()):
        scale = sp.Integer(1)
    shares = {i: _ratio(c, scale) for i, c in seconds.items()}
    slopes = {j: _ratio(c, scale) for j, c in firsts.items()}
    known = fixed if scale.is_number else frozenset()
    if any(not r.free_symbols <= known for r in shares.values()):
        return None
    return scale, shares, {j: r for j, r in slopes.items() if r.free_symbols <= known}


def _ratio(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    quotient = a / b
    return quotient if quotient.is_number or b.is_number else sp.cancel(quotient)


def _absorbable(
    jets: Jets, expressions: Sequence[sp.Expr], found: Sequence[Sequence[_Found]]
) -> frozenset[int]:
    """The inputs whose first derivative is needed nowhere but in operators."""
    wanted: set[int] = set()
    for expression, operators in zip(expressions, found, strict=True):
        inside = {jets.symbol(f.output, (i, i)) for f in operators for i in f.seconds}
        inside |= {jets.symbol(f.output, (j,)) for f in operators for j in f.firsts}
        left = [k for s, k in _jets_of(jets, expression).items() if s not in inside]
        wanted |= {i for _, index in left for i in index}
        wanted |= {i for f in operators for i in f.seconds}
    return frozenset(j for fs in found for f in fs for j in f.firsts) - wanted


def _rewrite(
    jets: Jets,
    expressions: Sequence[sp.Expr],
    found: Sequence[Sequence[_Found]],
    absorbable: frozenset[int],
) -> DerivativePlan:
    operators: dict[WeightedOperator, int] = {}
    symbols: dict[sp.Symbol, tuple[str, MultiIndex | int]] = {}
    made: dict[tuple[str, int], sp.Symbol] = {}
    rewritten = []
    for expression, own in zip(expressions, found, strict=True):
        result = expression
        for f in own:
            firsts = {j: w for j, w in f.firsts.items() if j in absorbable}
            operator = Operator(tuple(f.seconds), tuple(firsts))
            key = WeightedOperator(operator, (*f.seconds.values(), *firsts.values()))
            number = operators.setdefault(key, len(operators))
            name = (f.output, number)
            made.setdefault(name, sp.Dummy(f"L{number}_{f.output}"))
            symbols[made[name]] = name
            gone = [jets.symbol(f.output, (i, i)) for i in f.seconds]
            gone += [jets.symbol(f.output, (j,)) for j in firsts]
            result = result.xreplace(dict.fromkeys(gone, sp.Integer(0)))
            result += f.scale.xreplace(dict.fromkeys(gone, sp.Integer(0))) * made[name]
        rewritten.append(result)
        symbols.update(_jets_of(jets, result))
    partials = _sorted({index for _, index in symbols.values() if isinstance(index, tuple)})
    wanted = Wanted(partials, tuple(k.operator for k in operators))
    return DerivativePlan(wanted, tuple(k.weights for k in operators), tuple(rewritten), symbols)


def _sorted(indices: Iterable[MultiIndex]) -> tuple[MultiIndex, ...]:
    return tuple(sorted(indices, key=lambda index: (len(index), index)))
