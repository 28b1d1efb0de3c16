"""Course: the sequence of profiles, verdicts and plans of one run."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from ..core.aggregator import Aggregator, members
from ..core.chain import Chain
from ..core.errors import ConflictOptWarning, LayoutError
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.profile import Profile
from ..diagnosis.recorder import Recorder
from ..optim.line_search import searches_lines
from ..selection.plan import Plan
from .decision import Decision, plausible, same_plan
from .host import Host, RacingHost
from .observation import carry, is_complete, observe, observing, profile_so_far, treated, unobserve
from .options import CourseOptions
from .race import RaceOutcome, race
from .score import reference_of, relative_loss_sum


@dataclass(frozen=True)
class Rules:
    """How verdicts are reached and carried out.

    Attributes:
        diagnose: a profile's verdict.
        select: a verdict's plan.
        treat: a plan's method; ``None`` where the method is fixed and the plan only told.
        reweighting: gives the name of the reweighting that plans use, for the races, if any.
    """

    diagnose: Callable[[Profile], Diagnosis]
    select: Callable[[Diagnosis], Plan]
    treat: Callable[[Plan], Aggregator] | None
    reweighting: Callable[[], str | None]


class Course:
    """Decides what a run trains with; call ``after_step`` after every step.

    The run starts with the recorder. When the profile is complete it is diagnosed, a plan selected
    and applied: adapters attached if the plan has any, another method in use. With a second look
    the plan must win its race first. With ``rediagnose_every=n`` a recorder stands before the
    method in the last steps of every n, see ``observe``, and a new verdict follows; the plan
    changes only if that verdict is decided (its profile neither too short nor too close to call)
    and leads to another plan. Adapters stay attached when a later plan has none: they are part of
    the trained function. Every loss then reaches all of them, as it reaches the trunk.

    A run with a fixed method (``rules.treat`` is ``None``) is profiled and diagnosed once.

    Args:
        host: of the run.
        recorder: takes the profiles.
        rules: how verdicts are reached and carried out.
        options: second look and new verdicts.
        note: is told of every decision, in a sentence.

    Attributes:
        profile, diagnosis: of the first steps; ``None`` until their profile is complete.
        plan: selected, and in force once ``applied``.
        applied: whether a plan was carried out.
        decisions: every verdict with what became of it.
        trained_with: the methods in use, each with the step from which on; hosts add the first.
        on_diagnosis: callbacks without arguments, at the first diagnosis, before its plan is
            applied.

    Raises:
        MethodError: ``rediagnose_every`` shorter than a profile.
    """

    def __init__(
        self,
        host: Host,
        recorder: Recorder,
        rules: Rules,
        options: CourseOptions | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._host, self._recorder, self._rules, self._note = host, recorder, rules, note
        self._options = options or CourseOptions()
        self._options.check_profile(recorder.steps)
        self.profile: Profile | None = None
        self.diagnosis: Diagnosis | None = None
        self.plan: Plan | None = None
        self.applied = False
        self.decisions: list[Decision] = []
        self.trained_with: list[tuple[int, str]] = []
        self.on_diagnosis: list[Callable[[], None]] = []
        self._decided = False
        self._next: int | None = None

    def after_step(self) -> None:
        """Conclude a profile that is complete, begin one that is due."""
        optimizer = self._host.optimizer
        fixed = self._rules.treat is None
        if not (fixed and self._decided) and is_complete(optimizer, self._recorder):
            self._decide()
        every = self._options.rediagnose_every
        if fixed or every is None or observing(optimizer.aggregator):
            return
        if self._next is None:
            self._next = optimizer.completed + every - self._recorder.steps
        if optimizer.completed >= self._next:
            observe(optimizer, self._recorder)
            self._next = None

    def conclude(self) -> Diagnosis | None:
        """Diagnose the first steps from the samples there are; ``None`` without any."""
        if self.diagnosis is None and not self.applied:
            self.profile = profile_so_far(self._host.optimizer)
            if self.profile is not None:
                self.diagnosis = self._rules.diagnose(self.profile)
                self.plan = self._rules.select(self.diagnosis)
                found = "too short" if self.diagnosis.too_short else self.diagnosis.regime
                self._note(f"{found}, so {self.plan.kind}: {self.plan.reason}")
        return self.diagnosis

    def adopt(self, plan: Plan, method: Aggregator, why: str) -> None:
        """Go on with a plan that was decided elsewhere, e.g. before a checkpoint."""
        self.plan, self.applied = plan, True
        self.use(method, why)

    def refit(self, why: str) -> None:
        """Carry the plan out anew where another optimizer calls for another method.

        What both methods have in common goes on with its state.
        """
        if not self.applied or self._rules.treat is None or self.plan is None:
            return
        present, method = self._host.optimizer.aggregator, self._rules.treat(self.plan)
        if treated(present).label == method.label:
            return
        before = members(present)[:1] if observing(present) else ()
        carry(self._host.optimizer, Chain(*before, *members(method)) if before else method)
        self._entered(method, why)

    def use(self, method: Aggregator, why: str) -> None:
        """Train with another method from now on, and note why."""
        self._host.optimizer.set_aggregator(method)
        self._entered(method, why)

    def _entered(self, method: Aggregator, why: str) -> None:
        label = treated(method).label
        self.trained_with.append((self._step, label))
        self._note(f"{label}, {why}.")

    # -- decisions ----------------------------------------------------------------------------

    def _decide(self) -> None:
        if self.applied and self._options.rediagnose_every is None:
            # a checkpoint of a run with other options had a profile under way
            unobserve(self._host.optimizer)
            return
        if self.applied:
            self._decide_again()
            return
        self._decided = True
        # a verdict on a part of the profile may have been asked for before
        self.diagnosis = None
        diagnosis = self.conclude()
        for listener in self.on_diagnosis:
            listener()
        if self._rules.treat is None or diagnosis is None or self.plan is None:
            return
        plan, outcome = self._second_look(diagnosis, self.plan)
        self.decisions.append(Decision(self._step, diagnosis, None, plan, outcome))
        self._apply(plan)

    def _decide_again(self) -> None:
        assert self.plan is not None
        before, profile = self.plan, profile_so_far(self._host.optimizer)
        assert profile is not None
        diagnosis = self._rules.diagnose(profile)
        if self.diagnosis is None:
            self.profile, self.diagnosis = profile, diagnosis
        plan, outcome = before, None
        if not (diagnosis.too_short or diagnosis.too_close):
            plan = self._rules.select(diagnosis)
            if not same_plan(plan, before):
                plan, outcome = self._second_look(diagnosis, plan)
        decision = Decision(self._step, diagnosis, before, plan, outcome)
        self.decisions.append(decision)
        self._note(str(decision))
        if decision.switched:
            self._apply(plan)
        else:
            unobserve(self._host.optimizer)

    def _second_look(self, diagnosis: Diagnosis, plan: Plan) -> tuple[Plan, RaceOutcome | None]:
        """The plan that wins the race, where there is one to run."""
        if self._options.look is None or not diagnosis.pairs or diagnosis.too_short:
            return plan, None
        inner = self._host.optimizer.inner
        if searches_lines(inner):
            why = "its curvature starts afresh with every method"
            self._note(f"no second look under {type(inner).__name__}: {why}.")
            return plan, None
        assert self.profile is not None
        reference = reference_of(self.profile)
        plans = plausible(plan, self.plan if self.applied else None, self._rules.reweighting())
        if len(plans) == 1:
            return plan, None
        outcome = race(
            cast(RacingHost, self._host),
            plans,
            self._enter,
            self._options.race_steps,
            lambda found: relative_loss_sum(found, reference),
        )
        self._note(f"second look: {outcome.reason} Cost: {outcome.cost}.")
        if outcome.winner is plan:
            return plan, outcome
        return replace(outcome.winner, reason=outcome.reason), outcome

    @property
    def _step(self) -> int:
        return self._host.optimizer.completed

    def _apply(self, plan: Plan) -> None:
        assert self._rules.treat is not None
        plan = self._fitted(plan)
        self.plan, self.applied = plan, True
        self.use(self._rules.treat(plan), "as planned")

    def _fitted(self, plan: Plan) -> Plan:
        """Attach the adapters of a plan; where none go with the network, its other parts alone."""
        if not plan.adapters:
            return plan
        try:
            count = self._host.attach(plan)
        except LayoutError as error:
            rest = plan.without_adapters()
            message = f"no adapters go with this network, so {rest}: {error}"
            self._note(message)
            warnings.warn(f"conflictopt: {message}", ConflictOptWarning, stacklevel=2)
            return rest
        if count:
            self._note(f"attached adapters, {count} parameters.")
        return plan

    def _enter(self, plan: Plan) -> None:
        """Take a plan up in a race: the one in force goes on as it is."""
        assert self._rules.treat is not None
        if self.applied and self.plan is not None and same_plan(plan, self.plan):
            unobserve(self._host.optimizer, copied=True)
            return
        plan = self._fitted(plan)
        # a copy: methods of other packages may hold state of their own
        self._host.optimizer.set_aggregator(copy.deepcopy(self._rules.treat(plan)))
