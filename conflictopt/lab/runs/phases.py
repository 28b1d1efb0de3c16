"""Which method a run trains with, and when that changes."""

from __future__ import annotations

from dataclasses import replace

from ...auto.asked_for import with_those_of
from ...auto.controller import Controller
from ...auto.host import Host
from ...auto.options import TrainingOptions
from ...core.aggregator import Aggregator, members
from ...core.chain import Chain
from ...methods.expression import MethodExpression
from ...methods.expression_parts import AdapterSettings
from ...methods.registry import make
from .budget import Budget
from .loop import RunLoop


class Phases:
    """Profiles a run, and changes its method when the expression or the plan says so.

    Every run is profiled in its first steps, which changes nothing in it. ``auto`` is plain until
    the profile ends, then what the plan says; see ``Controller``.

    Args:
        method: the expression.
        budget, seed: of the run.
        host: of its network.

    Attributes:
        controller: profile, verdict and plan.
    """

    def __init__(self, method: MethodExpression, budget: Budget, seed: int, host: Host) -> None:
        self._method = method
        chosen = "auto" if method.auto is not None else self._fixed(0)
        self.controller = Controller(chosen, options_of(method, budget, seed), host)

    def begin(self, loop: RunLoop) -> None:
        """Before the first step: attach the adapters that are there from it on."""
        self._loop = loop
        self._attach(0)

    def after(self, step: int) -> None:
        """Attach adapters, go on with another method, if it is time.

        Args:
            step: number of steps taken.
        """
        attached = self._attach(step)
        if attached or self._method.after == step:
            # the other method has no recorder before it
            self.controller.conclude(self._loop.optimizer)
            self.controller.use(self._loop.optimizer, self._fixed(step), "as said")

    def _attach(self, step: int) -> bool:
        settings = self._method.adapters
        due = settings is not None and settings.attach == step
        if due and settings is not None:
            self._loop.attach(settings.design)
        return due

    def _fixed(self, step: int) -> Aggregator:
        """The method of a step, as the expression says it."""
        settings = self._method.adapters
        treated = make("sum") if step < self._method.after else self._method.aggregator()
        routed = settings is not None and settings.attach <= step
        return _routed(treated, settings) if routed and settings is not None else treated


def options_of(method: MethodExpression, budget: Budget, seed: int) -> TrainingOptions:
    """Those of the expression; the profile is the budget's unless it says."""
    chosen = with_those_of(method, TrainingOptions())
    if method.auto is None:
        chosen = replace(chosen, adapters=None)  # the run attaches them itself
    if method.auto is None or method.auto.profile_steps is None:
        chosen = replace(
            chosen, profile_steps=budget.profile_steps, profile_every=budget.profile_every
        )
    return replace(chosen, seed=seed, record=True)


def _routed(treated: Aggregator, settings: AdapterSettings) -> Aggregator:
    return Chain(*members(treated), settings.route())
