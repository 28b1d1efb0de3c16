"""Which aggregator a patched model starts with, and which the plan leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conflictopt.auto.options import CourseOptions
from conflictopt.core.aggregator import Aggregator, Routing, members
from conflictopt.core.chain import Chain
from conflictopt.core.errors import MethodError
from conflictopt.diagnosis.recorder import Recorder
from conflictopt.methods.foreign import adopt
from conflictopt.methods.registry import make, to_config
from conflictopt.selection.plan import Plan
from conflictopt.selection.policy import Treatment


@dataclass(frozen=True)
class Method:
    """The user's choice of method, resolved.

    Attributes:
        fixed: the method to train with from the start; ``None`` for ``auto``.
        recorder: takes the profile.
        record: whether a fixed method is profiled too.
        treatment: how plans are reached and carried out; its design is also that of the adapters
            that a fixed method routes to.
        course: second look and new verdicts, of ``auto``.
    """

    fixed: Aggregator | None
    recorder: Recorder
    record: bool
    treatment: Treatment
    course: CourseOptions

    @classmethod
    def of(
        cls,
        method: Any,
        recorder: Recorder,
        record: bool,
        treatment: Treatment,
        course: CourseOptions,
    ) -> Method:
        """Resolve names, and objects of other packages.

        Raises:
            MethodError: an unknown method or a bad option, or one of ``auto`` beside another
                method.
        """
        course.check_profile(recorder.steps)
        method = adopted("method", method)
        fixed: Aggregator | None
        if method == "auto":
            fixed = None
        elif method == "adapters":
            fixed = make("adapters", **treatment.adapter_design.routing_options)
        else:
            fixed = make(method) if isinstance(method, str) else method
        if fixed is not None and course != CourseOptions():
            raise MethodError(
                "expected look, race_steps and rediagnose_every with method 'auto', found them "
                "with another, which is not chosen by a diagnosis."
            )
        if fixed is not None:
            _check_used(treatment, method == "adapters" or uses_adapters(fixed), record)
        return cls(fixed, recorder, record, treatment, course)

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
        plans = [Plan("none", None, False, reason), *self.treatment.plans(reason)]
        without = self.treatment.without_residuals()
        plans += without.plans(reason) if without is not None else ()
        plans += [plan.without_adapters() for plan in plans if plan.adapters]
        for plan in plans if self.auto else ():
            # L-BFGS may have called for another method than Adam
            for method in (self.treatment.method(plan, searching) for searching in (False, True)):
                if saved.get("config") is not None and to_config(method) == saved["config"]:
                    return plan, method
                observed = Chain(self.recorder, *members(method))
                if saved.get("config") is None and saved.get("method") == observed.label:
                    return plan, observed
        return None


def _check_used(treatment: Treatment, routes: bool, record: bool) -> None:
    """Check that a fixed method leaves no option without effect."""
    given = {
        "reweighting": treatment.reweighting,
        "rule": treatment.rule,
        "thresholds": treatment.thresholds,
    }
    unused = [name for name, value in given.items() if value is not None and not record]
    if treatment.design is not None and not routes:
        unused.append("adapters")
    if unused:
        raise MethodError(
            f"expected {', '.join(unused)} with method 'auto', found them with a method that has "
            "no use for them (record=True makes a diagnosis beside it)."
        )


def adopted(what: str, method: Any) -> Any:
    """A name or nothing as it is, anything else as an aggregator.

    Raises:
        MethodError: an object that is none, of any package.
    """
    try:
        return method if method is None or isinstance(method, str) else adopt(method)
    except TypeError as error:
        raise MethodError(f"as {what}: {error}") from error


def uses_adapters(aggregator: Aggregator) -> bool:
    """Whether a method routes to adapters."""
    return any(isinstance(m, Routing) for m in members(aggregator))
