"""Which aggregator a patched model starts with, and which the plan leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conflictopt.adapters import AdapterDesign
from conflictopt.core.aggregator import Aggregator, Routing, members
from conflictopt.core.chain import Chain
from conflictopt.core.errors import MethodError
from conflictopt.course.design import design_of
from conflictopt.course.options import CourseOptions
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
        course: second look and new verdicts, of ``auto``.
    """

    fixed: Aggregator | None
    recorder: Recorder
    record: bool
    balance: Aggregator
    balance_name: str
    design: AdapterDesign
    course: CourseOptions

    @classmethod
    def of(
        cls,
        method: Any,
        recorder: Recorder,
        record: bool,
        reweighting: Any,
        design: AdapterDesign,
        course: CourseOptions,
    ) -> Method:
        """Resolve names, and objects of other packages.

        Raises:
            MethodError: an unknown method or a bad option, or one of ``auto`` beside another
                method.
        """
        course.check_profile(recorder.steps)
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
        if fixed is not None and course != CourseOptions():
            raise MethodError(
                "expected look, race_steps and rediagnose_every with method 'auto', found them "
                "with another, which is not chosen by a diagnosis."
            )
        return cls(fixed, recorder, record, balance, balance_name, design, course)

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

    def planned(self, saved: Mapping[str, Any]) -> tuple[Plan, Aggregator] | None:
        """The plan under which a checkpoint was saved, under auto, and its method.

        The method has the recorder before it if it had then: a verdict was due. A recorder has no
        configuration to compare, so the method behind it is told by its name.

        Args:
            saved: what ``MultiLossOptimizer`` adds to a checkpoint.
        """
        reason = "restored from a checkpoint."
        plans = (
            Plan("reweighting", self.balance_name, False, reason),
            Plan("adapters + reweighting", self.balance_name, True, reason),
        )
        for plan in plans if self.auto else ():
            method = self.of_plan(plan)
            if saved.get("config") is not None and to_config(method) == saved["config"]:
                return plan, method
            observed = Chain(self.recorder, *members(method))
            if saved.get("config") is None and saved.get("method") == observed.label:
                return plan, observed
        return None

    def of_plan(self, plan: Plan) -> Aggregator:
        """The aggregator that carries out a plan."""
        design = design_of(plan, self.design)
        route = make("adapters", **design.routing_options)
        return treatment(plan, self.balance, route)


def _read(what: str, method: Any) -> str | Aggregator:
    """A name as it is, anything else as an aggregator."""
    try:
        return method if isinstance(method, str) else adopt(method)
    except TypeError as error:
        raise MethodError(f"as {what}: {error}") from error


def uses_adapters(aggregator: Aggregator) -> bool:
    """Whether a method routes to adapters."""
    return any(isinstance(m, Routing) for m in members(aggregator))
