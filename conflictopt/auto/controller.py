"""Controller: what a run trains with, from its profile to its plan."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from ..core.aggregator import Aggregator
from ..core.errors import ConflictOptWarning, MethodError
from ..core.objective import Objective
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.profile import Profile
from ..diagnosis.recorder import recorded
from ..optim.line_search import searches_lines
from ..optim.optimizer import MultiLossOptimizer
from ..optim.session import LossForms
from ..selection.curvature_case import CurvatureCase
from ..selection.plan import Plan
from ..selection.policy import WEIGHTS
from . import saved_state
from .asked_for import asked_for
from .chosen_method import ChosenMethod
from .decision import Decision
from .host import Host
from .options import TrainingOptions
from .recording import carry, is_complete, trained_by, treated
from .stage import Stage, Weights
from .stage_entry import stage_case
from .stage_pace import StagePace
from .step_times import StepTimes


class Controller:
    """Decides what a run trains with; ``MultiLossOptimizer`` calls it after every step.

    The run starts with the recorder. When the profile is complete it is diagnosed, a plan selected
    and carried out: adapters attached if the plan has any, another method in use. A run with a
    fixed method is profiled and diagnosed once, and keeps its method.

    Args:
        method: a method expression (``"auto"``, ``"ntk:cap=10+pcgrad"``), or an object.
        options: of the run.
        host: attaches adapters, and knows what of the model matters for a plan.

    Attributes:
        method: the choice of method, resolved.
        profile, diagnosis: of the first steps; ``None`` until their profile is complete.
        plan: selected, and in force once ``applied``.
        decided: whether the profile is complete, and its verdict fell.
        decisions: every verdict with what became of it.
        stage: of steps on residuals; ``None`` while there is none.
        pace: says when its steps are taken.
        times: of the profile's steps.
        trained_with: the methods in use, each with the step from which on.
        log: what was decided and done, a sentence each, with the step.
        on_diagnosis: callbacks without arguments, at the first diagnosis, before its plan is
            applied.

    Raises:
        MethodError: an unknown method, or an option that has no use with it.
    """

    def __init__(self, method: Any, options: TrainingOptions, host: Host) -> None:
        method, self.options = asked_for(method, options)
        self.method = ChosenMethod.of(method, self.options)
        self.host = host
        self.profile: Profile | None = None
        self.diagnosis: Diagnosis | None = None
        self.plan: Plan | None = None
        self.decisions: list[Decision] = []
        self.trained_with: list[tuple[int, str]] = [(0, self.method.start_label)]
        self.log: list[str] = []
        self.on_diagnosis: list[Callable[[], None]] = []
        self.decided = False
        self.stage: Stage | None = None
        self.pace: type[StagePace] = StagePace
        self._rested = False
        self._pace: StagePace | None = None
        self.past_steps: list[int] = []
        self._case: CurvatureCase | None = None
        self.times = StepTimes(self.method.recorder.every)
        self._examined = False
        self._residuals = 0
        self._detaches = False

    @property
    def auto(self) -> bool:
        """See ``Control``."""
        return self.method.auto

    def begin_step(self) -> None:
        """See ``Control``."""
        if not self.decided:
            self.times.began()

    def takes_steps(self, optimizer: MultiLossOptimizer) -> bool:
        """See ``Control``: L-BFGS, where a script goes on with it, keeps its place."""
        return self.stage is not None and not optimizer.by_values

    def step(self, optimizer: MultiLossOptimizer, closure: Callable[[], LossForms]) -> Tensor:
        """See ``Control``: in the time of a step of the wrapped optimizer, mostly none."""
        stage, session = self.stage, optimizer.session
        assert stage is not None
        if not stage.fits(optimizer):
            stage.follow(optimizer, self.host.weighted())
        left = self.host.calls_left(session.completed + optimizer.skipped + 1)
        part, skipped = stage.part, stage.run.skipped
        value = stage.call(closure, left)
        missed = part.run.skipped - skipped
        optimizer.skipped += missed > 0
        session.completed += not missed
        session.last = part.run.last or session.last
        if stage.part is not part:
            self.host.staged(stage.by_residuals)
            self._entered(optimizer, stage.news)
        if stage.failure is not None:
            self.without_curvature(stage.failure, optimizer)
        elif stage.rest is not None and not self._rested:
            self._rested = True
            why = f"no steps on residuals for now: {stage.rest}; their loss is {float(value):.1e}."
            self.tell(why, optimizer.completed)
        if left == 0:
            self.tell(stage.pace.told, optimizer.completed)
        return value

    @property
    def residual_steps(self) -> list[int]:
        """The calls after the profile, from 1, in which steps on residuals were taken, one for
        each, and, negative, those in which a first-order step was left out; handed to another run
        as ``residual_steps``, that repeats this one bitwise.
        """
        return self.past_steps if self._pace is None else self._pace.history

    def load_best(self, closure: Callable[[], LossForms]) -> None:
        """See ``Control``."""
        if self.stage is not None:
            self.stage.part.load_best(closure)

    @property
    def applied(self) -> bool:
        """Whether a plan was carried out."""
        return bool(self.decisions)

    def first(self) -> Aggregator:
        """See ``Control``."""
        return self.method.first()

    def examine(self, objective: Objective) -> None:
        """See ``Control``: whether residuals, which a plan may read, come with the losses."""
        unknown = [n for n in self.options.measured if n not in objective.names]
        if unknown and not self._examined and self.method.auto:
            raise MethodError(
                f"expected measured as names of losses, found {unknown} beside the losses "
                f"{list(objective.names)}."
            )
        if self._examined or not self.method.auto or objective.has_residuals is None:
            return
        self._examined = True
        policy = self.method.policy
        if objective.has_residuals:
            losses = objective.together(residuals=True)
            for k in range(objective.count) if policy.reads_residuals else ():
                losses.residual_pairs(k)
            self._residuals = sum(r.numel() for rs in losses.residuals.values() for r, _ in rs)
            return
        if policy.reads_residuals and policy.reweighting is not None:
            raise MethodError(
                f"the reweighting {policy.name} reads residuals, and none came with the losses: "
                "step(losses, residuals={name: residual}), or choose another."
            )
        self.without_residuals("none came with the losses")

    def without_residuals(self, why: str, step: int = 0) -> bool:
        """Have plans that read none, where the user has not chosen the reweighting.

        Args:
            why: a clause for the log.
            step: number of steps taken.

        Returns:
            Whether plans read some before, and none now.
        """
        other = self.method.policy.without_residuals()
        if other is None:
            return False
        self.method = replace(self.method, policy=other)
        instead = "plans have surgery alone in place of a reweighting that reads residuals"
        self.tell(f"{instead}, since: {why}", step)
        return True

    def after_step(self, optimizer: MultiLossOptimizer) -> None:
        """See ``Control``: conclude a profile that is complete."""
        if self.decided:
            return
        self.times.ended(optimizer.completed - 1)
        if is_complete(optimizer, self.method.recorder):
            self._decide(optimizer)

    def conclude(self, optimizer: MultiLossOptimizer) -> Diagnosis | None:
        """Diagnose the first steps from the samples there are; ``None`` without any."""
        if self.diagnosis is None and not self.applied:
            self.profile = recorded(optimizer.session)
            if self.profile is not None:
                policy = self.method.policy
                self.diagnosis = policy.diagnose(self.profile)
                case = self._case = self._found(optimizer) if self.options.curvature else None
                self.plan = policy.select(self.diagnosis, self.host.weighted(), case)
                found = "too short" if self.diagnosis.too_short else self.diagnosis.regime
                why = f"{found}, so {self.plan.kind}: {self.plan.reason}"
                self.tell(why, optimizer.completed)
                if case is not None and not self.plan.curvature:
                    why = case.against or "a reweighting, adapters or a rule was asked for"
                    self.tell(f"no steps on residuals, as {why}.", optimizer.completed)
        return self.diagnosis

    def rewrapped(self, optimizer: MultiLossOptimizer) -> None:
        """See ``Control``: carry the plan out anew where the optimizer calls for another method.

        What both methods have in common goes on with its state.
        """
        if not self.applied or not self.method.auto or self.plan is None:
            return
        if self.stage is not None and not optimizer.by_values:
            why = self.host.obstacle(optimizer)
            if why is not None:
                self.without_curvature(why, optimizer)
                return
            self.stage.follow(optimizer, self.host.weighted())
        method = self._method_of(self.plan, optimizer)
        if treated(optimizer.aggregator).label != method.label:
            carry(optimizer, method)
        if self.trained_with[-1][1] != self._label(optimizer):
            self._entered(optimizer, f"as {type(optimizer.inner).__name__} trains now")

    def without_curvature(self, why: str, optimizer: MultiLossOptimizer) -> None:
        """Go on with the plan that there would be if no steps on residuals could be taken.

        Args:
            why: a clause for the log.
            optimizer: of the run.
        """
        assert self.diagnosis is not None
        self.stage, step = None, optimizer.completed
        self.tell(f"no steps on residuals: {why.rstrip('.')}.", step)
        if self.host.unreadable():
            self.without_residuals(why, step)
        plan = self.method.policy.select(self.diagnosis, self.host.weighted())
        self.tell(f"{plan.kind} in their place: {plan.reason}", step)
        self.plan = self._fit(plan, optimizer, lambda told: self.tell(told, step))
        self.decisions.append(Decision(step, self.diagnosis, self.plan))
        self.host.staged(False)
        self.use(optimizer, self._method_of(self.plan, optimizer), "as planned")

    def _found(self, optimizer: MultiLossOptimizer) -> CurvatureCase:
        """Whether the run can go on with steps on residuals."""
        case, repeated = self.host.curvature(optimizer), self.options.residual_steps
        return stage_case(case, self.times, self._residuals, repeated)

    def _enter_stage(self, optimizer: MultiLossOptimizer) -> None:
        """Go on with steps on residuals."""
        assert self.plan is not None and self.times.plain is not None and self._case is not None
        plain = min(self.times.plain, self.host.plain_seconds() or self.times.plain)
        # at most half of what is left: a loop that trains nothing at all is no use
        debt = min(self.times.overhead(plain), plain * self._case.iterations / 2)
        wanted = self.options.seconds
        if wanted is not None:
            left = max(0.0, wanted - self.times.total)
            plain, debt = left / max(1, self._case.iterations), 0.0
        pace = self.pace(plain, debt, self.options.residual_steps)
        if wanted is not None:
            pace.others = "calls have, as was asked for,"
        self._pace = pace
        method = self._method_of(self.plan, optimizer)
        measured = self.options.measured or self._case.measured
        optimizer.set_aggregator(method)
        self.stage = self._stage(optimizer, method, pace, measured)
        self.host.staged(True)
        self._entered(optimizer, "as planned")

    def _stage(
        self,
        optimizer: MultiLossOptimizer,
        method: Aggregator,
        pace: StagePace,
        measured: tuple[str, ...],
    ) -> Stage:
        weights: Weights = "method" if self.host.weighted() else WEIGHTS
        return Stage(optimizer, method, pace, measured, self.options.seed, weights)

    def use(self, optimizer: MultiLossOptimizer, method: Aggregator, why: str) -> None:
        """Train with another method from now on, and note why."""
        optimizer.set_aggregator(method)
        self._entered(optimizer, why)

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """See ``Control``."""
        return saved_state.save(self)

    def load_state_dict(
        self, saved: Mapping[str, Any] | None, optimizer: MultiLossOptimizer
    ) -> None:
        """See ``Control``.

        A plan with adapters attaches them, so that the optimizer's state fits; their values come
        with the network's own checkpoint.
        """
        attached = self.applied and self.plan is not None and self.plan.adapters
        staged, self.stage, self._pace = self.stage is not None, None, None
        if saved is None or saved.get("auto") is not self.method.auto:
            # of the plain optimizer, or of a method that was not chosen in the way this one is
            fresh = Controller(self.method.fixed or "auto", self.options, self.host)
            names = ("method", "on_diagnosis", "_examined", "_residuals")
            kept = {name: vars(self)[name] for name in names}
            vars(self).update({**vars(fresh), **kept})
        else:
            saved_state.load(self, saved)
        if self.applied and self.plan is not None:
            self._fit(self.plan, optimizer, lambda _: None)
            optimizer.set_aggregator(self._method_of(self.plan, optimizer))
        elif self.method.auto:
            optimizer.set_aggregator(self.first())
        if saved is not None and self.applied and saved.get("stage") is not None:
            pace = StagePace(0.0, 0.0, self.options.residual_steps)
            make = partial(self._stage, optimizer, optimizer.aggregator, pace)
            self.stage, self._pace = saved_state.stage(saved["stage"], make), pace
        if staged or self.stage is not None:
            self.host.staged(self.stage is not None and self.stage.by_residuals)
        self._detaches = attached and not self.applied

    def loaded(self, optimizer: MultiLossOptimizer) -> None:
        """See ``Control``: adapters of a plan that is not applied any more are detached.

        Not those that the network had before, which are the user's or of another method.
        """
        if self._detaches and self.host.detach():
            optimizer.remove_adapters()
        self._detaches = False
        if self.stage is not None:
            self.stage.share_reports(optimizer.session.reports)

    # -- decisions ----------------------------------------------------------------------------

    def _decide(self, optimizer: MultiLossOptimizer) -> None:
        self.decided = True
        # a verdict on a part of the profile may have been asked for before
        self.diagnosis = None
        diagnosis = self.conclude(optimizer)
        for listener in self.on_diagnosis:
            listener()
        if not self.method.auto or diagnosis is None or self.plan is None:
            return
        if diagnosis.too_short and diagnosis.pairs:
            warnings.warn(f"conflictopt: {self.plan.reason}", ConflictOptWarning, stacklevel=2)
        self.plan = self._fit(
            self.plan, optimizer, lambda told: self.tell(told, optimizer.completed)
        )
        self.decisions.append(Decision(optimizer.completed, diagnosis, self.plan))
        if self.plan.curvature:
            self._enter_stage(optimizer)
        else:
            self.use(optimizer, self._method_of(self.plan, optimizer), "as planned")

    def _method_of(self, plan: Plan, optimizer: MultiLossOptimizer) -> Aggregator:
        return self.method.policy.method(plan, searches_lines(optimizer.inner))

    def _fit(self, plan: Plan, optimizer: MultiLossOptimizer, note: Callable[[str], None]) -> Plan:
        """The plan as far as it goes with the network; its adapters are attached."""
        assert self.profile is not None
        names = self.profile.names
        chosen = self.method.policy.adapter_design
        return plan.fitted(optimizer, lambda d: self.host.attach(names, d), chosen, note)

    def _entered(self, optimizer: MultiLossOptimizer, why: str) -> None:
        label = self._label(optimizer)
        self.trained_with.append((optimizer.completed, label))
        self.tell(f"{label}, {why}.", optimizer.completed)

    def _label(self, optimizer: MultiLossOptimizer) -> str:
        """What trains: the method, and the optimizer where that was chosen too."""
        staged = self.stage is not None and not optimizer.by_values
        return trained_by(self.stage.run if staged and self.stage is not None else optimizer)

    def tell(self, message: str, step: int = 0) -> None:
        """Add a sentence to the log, with the number of steps taken."""
        self.log = [*self.log, f"step {step}: {message}"]
