"""Chain: several aggregators as one."""

from __future__ import annotations

from torch import Tensor

from .aggregator import Aggregator, Needs, Reweighting, Routing, State, Surgery
from .errors import MethodError
from .layout import ParameterLayout
from .step import Spec, StepView

_ORDER = {Reweighting: 0, Surgery: 1, Routing: 2}


class Chain(Aggregator):
    """Reweighting, then surgery, then routing: coefficients multiply, the view is rescaled.

    Each member sees the gradients as the members before it left them, so that
    ``Chain(ntk, pcgrad)`` removes the conflicts of the *weighted* losses.

    Args:
        members: any number of reweighting methods, at most one surgery, at most one routing,
            in this order.

    Raises:
        MethodError: no member, a member out of order, or two of a kind that may come once.
    """

    source = "composition of its members"
    family = "chain"

    def __init__(self, *members: Aggregator) -> None:
        if not members:
            raise MethodError("expected at least one aggregator in a Chain, found none.")
        ranks = [_rank(m) for m in members]
        if ranks != sorted(ranks) or ranks.count(1) > 1 or ranks.count(2) > 1:
            found = ", ".join(type(m).__name__ for m in members)
            raise MethodError(
                "expected reweighting methods, then at most one surgery, then at most one "
                f"routing, found {found}."
            )
        self.members = members
        self.needs = Needs(0)
        for m in members:
            self.needs |= m.needs
        self.plain = all(m.plain for m in members)

    @property
    def label(self) -> str:
        return " -> ".join(m.label for m in self.members)

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return all(m.has_scalar(layout) for m in self.members)

    def init(self, spec: Spec) -> State:
        return {f"{i}.{k}": v for i, m in enumerate(self.members) for k, v in m.init(spec).items()}

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        total = view.ones()
        after: State = {}
        for i, member in enumerate(self.members):
            prefix = f"{i}."
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            # Past surgery only routing follows, and routing does not read gradients.
            seen = view if i == 0 or total.ndim == 2 else view.scaled(total)
            c, own = member.update(seen, own)
            total = _product(total, c)
            after.update({prefix + k: v for k, v in own.items()})
        return total, after

    def __repr__(self) -> str:
        return f"Chain({', '.join(repr(m) for m in self.members)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and self.members == other.members

    def __hash__(self) -> int:
        return hash(self.members)


def _rank(member: Aggregator) -> int:
    for family, rank in _ORDER.items():
        if isinstance(member, family):
            return rank
    raise MethodError(
        f"expected reweighting, surgery or routing in a Chain, found {type(member).__name__}."
    )


def _product(a: Tensor, b: Tensor) -> Tensor:
    if a.ndim == b.ndim:
        return a * b
    return a[:, None] * b if a.ndim == 1 else a * b[:, None]
