"""How derivatives travel through a network: the components of its state, in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .indices import MultiIndex, Wanted, composition


@dataclass(frozen=True)
class Product:
    """A term ``count * f^(order)(z) * prod_j z_{factors_j}`` of component ``target``."""

    target: int
    count: int
    factors: tuple[int, ...]

    @property
    def order(self) -> int:
        """Which derivative of the activation it takes."""
        return len(self.factors)


@dataclass(frozen=True)
class Components:
    """The order of components, and what an activation does to each beside ``f'(z_0) z_c``.

    First derivatives come after the value, those that have a second derivative first, so that all
    squares ``f'' z_i^2`` are one operation on neighbouring components.

    Attributes:
        partials: the partial derivative of every component that is one.
        squares: s, the number of pure second derivatives; component 1 + i's is 1 + firsts + i.
        firsts: number of first derivatives.
        operators: per operator the components of the first derivatives in its ``seconds``.
        products: all other terms of order two and above.
        order: the highest order of differentiation.
    """

    partials: tuple[MultiIndex, ...]
    squares: int
    firsts: int
    operators: tuple[tuple[int, ...], ...]
    products: tuple[Product, ...]
    order: int

    @property
    def count(self) -> int:
        """C, the number of components."""
        return len(self.partials) + len(self.operators)


@lru_cache(maxsize=256)
def components(wanted: Wanted) -> Components:
    """The components that a computation of some derivatives carries along."""
    every = wanted.closure()
    seconds = [p for p in every if len(p) == 2 and p[0] == p[1]]
    squared = {p[:1] for p in seconds}
    firsts = sorted((p for p in every if len(p) == 1), key=lambda p: (p not in squared, p))
    seconds.sort(key=lambda p: firsts.index(p[:1]))
    others = [p for p in every if len(p) >= 2 and p not in seconds]
    partials = ((), *firsts, *seconds, *others)
    place = {p: c for c, p in enumerate(partials)}
    products = [
        Product(place[p], term.count, tuple(place[f] for f in term.factors))
        for p in others
        for term in composition(p)
        if len(term.factors) > 1
    ]
    operators = tuple(tuple(place[(i,)] for i in op.seconds) for op in wanted.operators)
    order = wanted.order
    return Components(partials, len(seconds), len(firsts), operators, tuple(products), order)
