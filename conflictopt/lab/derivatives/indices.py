"""Which derivatives are wanted, and which others their computation needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

MultiIndex = tuple[int, ...]
"""A partial derivative: the sorted numbers of the inputs; ``()`` is the value, ``(0, 0, 1)`` is
two derivatives in input 0 and one in input 1."""


@dataclass(frozen=True)
class Operator:
    """A sum ``sum_i w_i d^2/dx_i^2 + sum_j v_j d/dx_j`` with weights given at every point.

    It travels through a network as one component, whatever the number of its terms; only the first
    derivatives in its ``seconds`` are carried along.

    Attributes:
        seconds: inputs of second derivatives.
        firsts: inputs of first derivatives.
    """

    seconds: tuple[int, ...]
    firsts: tuple[int, ...] = ()

    @property
    def terms(self) -> int:
        """Number of weights: those of ``seconds``, then those of ``firsts``."""
        return len(self.seconds) + len(self.firsts)


@dataclass(frozen=True)
class Wanted:
    """Derivatives to compute at every point, for all outputs of a network.

    Attributes:
        partials: partial derivatives.
        operators: sums of first and second derivatives.
    """

    partials: tuple[MultiIndex, ...]
    operators: tuple[Operator, ...] = ()

    def __post_init__(self) -> None:
        for index in self.partials:
            if tuple(sorted(index)) != index:
                raise ValueError(f"expected sorted derivative indices, found {index}.")

    @property
    def order(self) -> int:
        """The highest order of differentiation."""
        return max([*(len(p) for p in self.partials), *(2 for _ in self.operators)], default=0)

    def closure(self) -> tuple[MultiIndex, ...]:
        """The wanted derivatives and all that they depend on, by order: the value first.

        A derivative of a composition depends on all derivatives of lower order that divide it.
        """
        found: set[MultiIndex] = {()}
        for index in [*self.partials, *((i,) for op in self.operators for i in op.seconds)]:
            for size in range(len(index) + 1):
                found.update(combinations(index, size))
        return tuple(sorted(found, key=lambda index: (len(index), index)))


@dataclass(frozen=True)
class Term:
    """``count * f^(m)(z) * prod_j z_j``, one term of a composition's derivative.

    Attributes:
        count: how often it occurs.
        factors: the m derivatives of the inner function.
    """

    count: int
    factors: tuple[MultiIndex, ...]


def composition(index: MultiIndex) -> tuple[Term, ...]:
    """The terms of a derivative of ``f(z(x))``, by the formula of Faa di Bruno.

    Args:
        index: the derivative, of order at least 1.

    >>> [(t.count, t.factors) for t in composition((0, 0))]
    [(1, ((0, 0),)), (1, ((0,), (0,)))]
    """
    positions = range(len(index))
    counted = Counter(
        tuple(sorted(tuple(index[p] for p in block) for block in partition))
        for partition in _partitions(list(positions))
    )
    terms = [Term(n, factors) for factors, n in counted.items()]
    return tuple(sorted(terms, key=lambda t: (len(t.factors), t.factors)))


def _partitions(items: list[int]) -> Iterable[list[list[int]]]:
    """All ways to split a list into non-empty blocks."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for chosen in combinations(rest, size):
            left = [r for r in rest if r not in chosen]
            for others in _partitions(left):
                yield [[first, *chosen], *others]
