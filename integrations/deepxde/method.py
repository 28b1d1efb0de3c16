"""Which aggregator a patched model starts with, and which the plan leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conflictopt.adapters import AdapterDesign
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
        design: of the adapters that plans use, or that a fixed method routes to.
    """

    fixed: Aggregator | None
    recorder: Recorder
    record: bool
    balance: Aggregator
    balance_name: str
    design: AdapterDesign

    @classmethod
    def of(
        cls,
        method: Any,
        recorder: Recorder,
        record: bool,
        reweighting: Any,
        design: AdapterDesign,
    ) -> Method:
        """Resolve names, and objects of other packages.

        Raises:
            MethodError: an unknown method or a bad option.
        """
        if not isinstance(design, AdapterDesign):
            raise MethodError(f"expected adapters as an AdapterDesign, found {design!r}.")
        method, reweighting = _read("method", method), _read("reweighting", reweighting)
        if isinstance(reweighting, str):
            balance, balance_name = make(reweighting), reweighting
        else:
            balance, balance_name = reweighting, type(reweighting).__name__
        fixed: Aggregator | None
        if method == "auto":
            fixed = None
        elif method == "adapters":
            fixed = make("adapters", **design.routing_options)
        else:
            fixed = make(method) if isinstance(method, str) else method
        return cls(fixed, recorder, record, balance, balance_name, design)

    @property
    def route(self) -> Aggregator:
        """The routing that plans use."""
        return make("adapters", **self.design.routing_options)

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
