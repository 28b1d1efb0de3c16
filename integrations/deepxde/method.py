"""Which aggregator a patched model starts with, and which the plan leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conflictopt.core.aggregator import Aggregator, Routing, members
from conflictopt.core.chain import Chain
from conflictopt.core.errors import MethodError
from conflictopt.diagnosis.recorder import Recorder
from conflictopt.diagnosis.selection import Plan
from conflictopt.foreign import adopt
from conflictopt.registry import make, to_config
from conflictopt.treatment import treatment


@dataclass(frozen=True)
class Method:
    """The user's choice of method, resolved.

    Attributes:
        fixed: the method to train with from the start; ``None`` for ``auto``.
        recorder: takes the profile.
        record: whether a fixed method is profiled too.
        balance, balance_name: the reweighting that plans use.
        route: the routing that plans use.
        rank: adapter rank.
    """

    fixed: Aggregator | None
    recorder: Recorder
    record: bool
    balance: Aggregator
    balance_name: str
    route: Aggregator
    rank: int

    @classmethod
    def of(
        cls,
        method: Any,
        recorder: Recorder,
        record: bool,
        reweighting: Any,
        routing: str,
        rank: int,
    ) -> Method:
        """Resolve names, and objects of other packages.

        Raises:
            MethodError: an unknown method or a bad option.
        """
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise MethodError(f"expected rank as a positive integer, found {rank!r}.")
        method, reweighting = _read("method", method), _read("reweighting", reweighting)
        route = make("adapters", routing=routing)
        if isinstance(reweighting, str):
            balance, balance_name = make(reweighting), reweighting
        else:
            balance, balance_name = reweighting, type(reweighting).__name__
        fixed: Aggregator | None
        if method == "auto":
            fixed = None
        elif method == "adapters":
            fixed = route
        else:
            fixed = make(method) if isinstance(method, str) else method
        return cls(fixed, recorder, record, balance, balance_name, route, rank)

    @property
    def auto(self) -> bool:
        """Whether the plan decides."""
        return self.fixed is None

    @property
    def records(self) -> bool:
        """Whether the first steps are profiled."""
        return self.auto or self.record

    @property
    def adapters(self) -> bool:
        """Whether adapters are attached at the first step."""
        return self.fixed is not None and uses_adapters(self.fixed)

    def start(self) -> Aggregator:
        """The aggregator of the first step."""
        if self.fixed is None:
            return self.recorder
        return Chain(self.recorder, *members(self.fixed)) if self.record else self.fixed

    def planned(self, config: list[dict[str, Any]] | None) -> Aggregator | None:
        """The treatment of a plan that a checkpoint's ``config`` describes, under auto."""
        plans = (self.balance, Chain(self.balance, self.route)) if self.auto else ()
        known = [p for p in plans if config is not None and to_config(p) == config]
        return known[0] if known else None

    def of_plan(self, plan: Plan) -> Aggregator:
        """The aggregator that carries out a plan."""
        return treatment(plan, self.balance, self.route)


def _read(what: str, method: Any) -> str | Aggregator:
    """A name as it is, anything else as an aggregator."""
    try:
        return method if isinstance(method, str) else adopt(method)
    except TypeError as error:
        raise MethodError(f"as {what}: {error}") from error


def uses_adapters(aggregator: Aggregator) -> bool:
    """Whether a method routes to adapters."""
    return any(isinstance(m, Routing) for m in members(aggregator))
