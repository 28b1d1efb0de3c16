"""Which method a run trains with, and when that changes."""

from __future__ import annotations

from ...auto.controller import Course, Rules
from ...core.aggregator import Aggregator, members
from ...core.chain import Chain
from ...diagnosis.recorder import Recorder, sampling
from ...methods.registry import make
from .budget import Budget
from .expression import MethodExpression
from .expression_parts import AdapterSettings, AutoSettings
from .host import RunHost


class Phases:
    """Profiles a run, and changes its method when the expression or the plan says so.

    Every run is profiled in its first steps, which changes nothing in it. ``auto`` is plain until
    the profile ends, then what the plan says; see ``Course``.

    Args:
        method: the expression.
        budget: of the run.

    Attributes:
        course: profiles, verdicts and plans, once the run has begun.
    """

    def __init__(self, method: MethodExpression, budget: Budget) -> None:
        self._method = method
        self._recorder = recorder_of(method, budget)
        self._host: RunHost
        self.course: Course

    def first(self) -> Aggregator:
        """The method of the first step."""
        return Chain(self._recorder, *members(self._fixed(0)))

    def begin(self, host: RunHost) -> None:
        """Before the first step: attach the adapters that are there from it on."""
        auto, self._host = self._method.auto, host
        t = (auto or AutoSettings()).treatment
        rules = Rules(t.diagnose, t.select, t.method if auto is not None else None, lambda: t.usual)
        options = auto.course if auto is not None else None
        self.course = Course(host, self._recorder, rules, options)
        self.course.trained_with.append((0, self._fixed(0).label))
        self._attach(0)

    def after(self, step: int) -> None:
        """Conclude the profile, attach adapters, go on with another method, if it is time.

        Args:
            step: number of steps taken.
        """
        attached = self._attach(step)
        if attached or self._method.after == step:
            # the other method has no recorder before it
            self.course.conclude()
            self.course.use(self._fixed(step), "as said")
        self.course.after_step()

    def _attach(self, step: int) -> bool:
        settings = self._method.adapters
        due = settings is not None and settings.attach == step
        if due and settings is not None:
            self._host.attach_design(settings.design)
        return due

    def _fixed(self, step: int) -> Aggregator:
        """The method of a step, as the expression says it; plain under ``auto``."""
        settings = self._method.adapters
        plain = self._method.auto is not None or step < self._method.after
        treated = make("sum") if plain else self._method.aggregator()
        routed = settings is not None and settings.attach <= step
        return _routed(treated, settings) if routed and settings is not None else treated


def recorder_of(method: MethodExpression, budget: Budget) -> Recorder:
    """As long as the budget says, or ``auto`` of the expression."""
    steps = method.auto.profile_steps if method.auto is not None else None
    if steps is None:
        return Recorder(budget.profile_steps, budget.profile_every)
    return Recorder(steps, sampling(steps))


def _routed(treated: Aggregator, settings: AdapterSettings) -> Aggregator:
    return Chain(*members(treated), settings.route())
