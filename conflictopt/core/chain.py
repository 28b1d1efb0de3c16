"""Chain: several aggregators as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .aggregator import (
    Aggregator,
    Chosen,
    Needs,
    PointReweighting,
    Reweighting,
    Routing,
    State,
    Surgery,
)
from .errors import MethodError
from .layout import ParameterLayout
from .points import PointSets, PointWeights
from .reports import Reporter, unheard
from .step import Spec, StepView

_ORDER = {PointReweighting: 0, Reweighting: 1, Surgery: 2, Routing: 3}


class Chain(Aggregator):
    """Reweighting, then surgery, then routing: coefficients multiply, the view is rescaled.

    Each member sees the gradients as the members before it left them, so that
    ``Chain(ntk, pcgrad)`` removes the conflicts of the *weighted* losses. Members that change
    nothing (``Sum``, ``Recorder``) may stand anywhere, and see the losses without point weights.

    Args:
        members: any number of reweighting methods, those of points first; at most one surgery, at
            most one routing; in this order.

    Raises:
        MethodError: no member, a member out of order, or two of a kind that may come once.
    """

    source = "composition of its members"
    family = "chain"
    claim = "that of its members, on the losses as the members before left them"

    def __init__(self, *members: Aggregator) -> None:
        if not members:
            raise MethodError("expected at least one aggregator in a Chain, found none.")
        every = [(_rank(m), m) for m in members]
        ranks = [rank for rank, m in every if not m.plain]
        once = _ORDER[Surgery], _ORDER[Routing]
        if ranks != sorted(ranks) or any(ranks.count(rank) > 1 for rank in once):
            found = ", ".join(type(m).__name__ for m in members)
            raise MethodError(
                "expected reweighting methods, those of points first, then at most one surgery, "
                f"then at most one routing, found {found}."
            )
        self.linear = all(m.linear for m in members)
        if not self.linear and _ORDER[Routing] in ranks:
            found = ", ".join(type(m).__name__ for m in members)
            raise MethodError(
                "expected no routing after surgery that transforms gradients entry by entry: "
                f"there are no coefficients that it could route. Found {found}."
            )
        self.members = members
        self.needs = Needs(0)
        for m in members:
            self.needs |= m.needs
        self.plain = all(m.plain for m in members)
        self.steps_itself = any(m.steps_itself for m in members)
        self.grows = any(m.grows for m in members)
        self.per_parameter = any(m.per_parameter for m in members)

    @property
    def by_layer(self) -> bool:
        return any(m.by_layer for m in self.members)

    @property
    def label(self) -> str:
        return " -> ".join(m.label for m in self.members)

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return all(m.has_scalar(layout) for m in self.members)

    def init(self, spec: Spec) -> State:
        return {f"{i}.{k}": v for i, m in enumerate(self.members) for k, v in m.init(spec).items()}

    def weighs(self, spec: Spec) -> Sequence[str]:
        wanted = {n for m in self.members if m.needs & Needs.POINTS for n in m.weighs(spec)}
        return [n for n in spec.names if n in wanted]

    def weigh(
        self, spec: Spec, sets: PointSets, state: State, report: Reporter = unheard
    ) -> tuple[PointWeights | None, State]:
        total: PointWeights | None = None
        after: State = {}
        for i, member in enumerate(self.members):
            weights, own = member.weigh(spec, sets, member_state(state, i), report)
            after.update({f"{i}.{k}": v for k, v in own.items()})
            for n, ws in (weights or {}).items():
                total = {} if total is None else total
                known = total.get(n)
                total[n] = ws if known is None else tuple(map(torch.mul, ws, known))
        return total, after

    def asks_for_update(self, step: int, state: State | None) -> bool:
        own = [None if state is None else member_state(state, i) for i in range(len(self.members))]
        return any(m.asks_for_update(step, s) for m, s in zip(self.members, own, strict=True))

    def saw_update(self, step: int, state: State, worst: float) -> State:
        after: State = {}
        for i, member in enumerate(self.members):
            seen = member.saw_update(step, member_state(state, i), worst)
            after.update({f"{i}.{k}": v for k, v in seen.items()})
        return after

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        chosen = self.choose(view, state)
        return chosen.coefficients, chosen.state

    def choose(self, view: StepView, state: State) -> Chosen:
        total, direction = view.ones(), None
        after: State = {}
        for i, member in enumerate(self.members):
            # Past surgery only routing follows, and routing does not read gradients.
            seen = view if i == 0 or total.ndim == 2 else view.scaled(total)
            seen = seen.unweighted() if member.plain else seen
            chosen = member.choose(seen, member_state(state, i))
            total = _product(total, chosen.coefficients)
            direction = chosen.direction if chosen.direction is not None else direction
            after.update({f"{i}.{k}": v for k, v in chosen.state.items()})
        return Chosen(total, after, direction)

    def __repr__(self) -> str:
        return f"Chain({', '.join(repr(m) for m in self.members)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and self.members == other.members

    def __hash__(self) -> int:
        return hash(self.members)


def member_state(state: State, i: int) -> State:
    """The state of member i."""
    prefix = f"{i}."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _rank(member: Aggregator) -> int:
    for family, rank in _ORDER.items():
        if isinstance(member, family):
            return rank
    raise MethodError(
        f"expected reweighting, surgery or routing in a Chain, found {type(member).__name__}. "
        "Objects of other packages go through conflictopt.adopt first."
    )


def _product(a: Tensor, b: Tensor) -> Tensor:
    if a.ndim == b.ndim:
        return a * b
    return a[:, None] * b if a.ndim == 1 else a * b[:, None]
