"""The user's choice of method: a fixed one, or what a verdict calls for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.aggregator import Aggregator, Routing, members
from ..core.chain import Chain
from ..core.errors import MethodError
from ..diagnosis.recorder import Recorder
from ..methods.foreign import adopted
from ..methods.registry import make
from ..selection.policy import Policy
from .options import TrainingOptions


@dataclass(frozen=True)
class ChosenMethod:
    """The user's choice of method, resolved.

    Attributes:
        fixed: the method to train with from the start; ``None`` for ``auto``.
        recorder: takes the profile.
        record: whether a fixed method is profiled too.
        policy: how plans are reached and carried out; its design is also that of the adapters
            that a fixed method routes to.
    """

    fixed: Aggregator | None
    recorder: Recorder
    record: bool
    policy: Policy

    @classmethod
    def of(cls, method: Any, options: TrainingOptions) -> ChosenMethod:
        """Resolve objects of other packages.

        Args:
            method: ``"auto"``, or an object; see ``asked_for`` for expressions.
            options: of the run.

        Raises:
            MethodError: no method, or an option that has no use with it.
        """
        policy = options.policy
        if method == "auto":
            return cls(None, options.recorder, options.record, policy)
        fixed = adopted("method", method)
        _check_used(options, uses_adapters(fixed))
        return cls(fixed, options.recorder, options.record, policy)

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

    @property
    def start_label(self) -> str:
        """What the first step trains with, the recorder apart."""
        return (self.fixed or make("sum")).label

    def first(self) -> Aggregator:
        """The aggregator of the first step."""
        if self.fixed is None:
            return self.recorder
        return Chain(self.recorder, *members(self.fixed)) if self.record else self.fixed


def _check_used(options: TrainingOptions, routes: bool) -> None:
    """Check that a fixed method leaves no option without effect."""
    given = {
        "reweighting": options.reweighting,
        "rule": options.rule,
        "thresholds": options.thresholds,
        "curvature": None if options.curvature else False,
        "steps": options.steps,
        "seconds": options.seconds,
        "measured": options.measured or None,
        "residual_steps": options.residual_steps,
    }
    unused = [name for name, value in given.items() if value is not None and not options.record]
    if options.adapters is not None and not routes:
        unused.append("adapters")
    if unused:
        raise MethodError(
            f"expected {', '.join(unused)} with method 'auto', found them with a method that has "
            "no use for them (record=True makes a diagnosis beside it)."
        )


def uses_adapters(aggregator: Aggregator) -> bool:
    """Whether a method routes to adapters."""
    return any(isinstance(m, Routing) for m in members(aggregator))
