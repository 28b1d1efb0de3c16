"""Which method a run trains with, and when that changes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..adapters import attach
from ..core.aggregator import Aggregator, members
from ..core.chain import Chain
from ..diagnosis.profile import Profile
from ..diagnosis.recorder import Recorder, profile_of, recorder_state
from ..diagnosis.regime import Diagnosis, diagnose
from ..diagnosis.selection import Plan, select
from ..optimizer import MultiLossOptimizer
from ..registry import make
from ..treatment import treatment
from .budget import Budget
from .members import AdapterSettings
from .methods import MethodExpression


class Phases:
    """Profiles a run, and changes its method when the expression or the plan says so.

    Every run is profiled in its first steps, which changes nothing in it. ``auto`` is plain until
    the profile ends, then what the plan says.

    Args:
        method: the expression.
        budget: of the run.
        losses: the K names.
        seed: of the adapters.

    Attributes:
        profile, diagnosis: of the first steps, once they are complete.
        plan: of ``auto``.
        trained_with: the methods in use, each with the step from which on.
    """

    def __init__(
        self, method: MethodExpression, budget: Budget, losses: Sequence[str], seed: int
    ) -> None:
        self._method = method
        self._steps = budget.profile_steps
        self._losses = tuple(losses)
        self._seed = seed
        self._recorder = Recorder(budget.profile_steps, budget.profile_every)
        self.profile: Profile | None = None
        self.diagnosis: Diagnosis | None = None
        self.plan: Plan | None = None
        self.trained_with: list[tuple[int, str]] = []

    def start(self) -> Aggregator:
        """The method of the first step."""
        treated = self._fixed(0)
        self.trained_with.append((0, treated.label))
        return Chain(self._recorder, *members(treated))

    def after(self, step: int, optimizer: MultiLossOptimizer, net: nn.Module) -> None:
        """Conclude the profile, attach adapters, begin with a method, if it is time.

        Args:
            step: number of steps taken; 0 before the first.
        """
        settings = self._method.adapters
        due = settings is not None and settings.attach == step
        if due and settings is not None:
            self._attach(optimizer, net, settings)
        if step == 0:
            return
        changes = due or self._method.after == step
        if step == self._steps or changes:
            self.conclude(optimizer)
        if changes:
            self._use(step, optimizer, self._fixed(step))
        if step == self._steps and self._method.auto is not None and self.diagnosis is not None:
            chosen = self._method.auto
            self.plan = select(self.diagnosis, chosen.reweighting)
            if self.plan.adapters:
                self._attach(optimizer, net, chosen.adapters)
            route = chosen.adapters.route()
            self._use(step, optimizer, treatment(self.plan, make(chosen.reweighting), route))

    def _fixed(self, step: int) -> Aggregator:
        """The method of a step, as the expression says it; plain under ``auto``."""
        settings = self._method.adapters
        plain = self._method.auto is not None or step < self._method.after
        treated = make("sum") if plain else self._method.aggregator()
        routed = settings is not None and settings.attach <= step
        return _routed(treated, settings) if routed and settings is not None else treated

    def conclude(self, optimizer: MultiLossOptimizer) -> None:
        """Diagnose from the samples there are, once."""
        state = recorder_state(optimizer.aggregator, optimizer.session.state)
        if self.diagnosis is None and state is not None and int(state["samples"]):
            self.profile = profile_of(state, self._losses)
            self.diagnosis = diagnose(self.profile)

    def _attach(
        self, optimizer: MultiLossOptimizer, net: nn.Module, settings: AdapterSettings
    ) -> None:
        adapters = attach(net, self._losses, settings.design, seed=self._seed)
        optimizer.add_adapters(adapters)

    def _use(self, step: int, optimizer: MultiLossOptimizer, aggregator: Aggregator) -> None:
        optimizer.set_aggregator(aggregator)
        self.trained_with.append((step, aggregator.label))


def _routed(treated: Aggregator, settings: AdapterSettings) -> Aggregator:
    return Chain(*members(treated), settings.route())
