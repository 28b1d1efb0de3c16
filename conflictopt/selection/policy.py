"""From a profile to a plan, and from a plan to the method that carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ..adapters.design import AdapterDesign
from ..core.aggregator import READS_RESIDUALS, Aggregator, Reweighting
from ..core.errors import MethodError
from ..diagnosis.diagnosis import Diagnosis, diagnose
from ..diagnosis.profile import Profile
from ..diagnosis.thresholds import Thresholds
from ..methods.registry import make, reads_residuals, registered
from .curvature_case import CurvatureCase
from .plan import Plan
from .plan_template import PlanKind
from .rule import Rule
from .select import select

NO_RESIDUALS = "pcgrad"
"""The surgery of plans that have no other, in place of a reweighting that reads residuals where
these cannot be read (losses that are no mean squares): of what reads gradients alone and begins
after a profile, that with the lowest errors in records/plan_screen_cpu.jsonl.gz."""

WEIGHTS: Final = "ntk"
"""The reweighting beside steps on residuals where gradients are imbalanced."""

WEIGHTED = (
    "the losses have weights of the user's own, which may be good ones, so they stay: '{plan}' is "
    "left out (docs/evidence.md, outside the suite). To have weights chosen all the same, name a "
    "reweighting: --option reweighting=NAME, or patch(model, reweighting=NAME)."
)


@dataclass(frozen=True)
class Policy:
    """How ``auto`` reaches its plans and carries them out; all of it can be chosen.

    Args:
        reweighting: name of the reweighting method of plans, or any method as an object; that of
            the rule unless given.
        design: of the adapters of plans, which then all have some; where a plan of the rule has
            adapters, fields at their defaults are the rule's. Unless given the rule decides.
        rule: what to do in which regime; the one that comes with conflictopt unless given.
        thresholds: of the regimes; those of the rule unless given.
        residuals: whether residuals can be read. Where not, and unless reweighting is given, plans
            have surgery in place of a reweighting that reads them: their own, or ``NO_RESIDUALS``.

    Raises:
        MethodError: thresholds beside a rule, or the name of another method than reweighting.
    """

    reweighting: str | Aggregator | None = None
    design: AdapterDesign | None = None
    rule: Rule | None = None
    thresholds: Thresholds | None = None
    residuals: bool = True

    def __post_init__(self) -> None:
        if self.rule is not None and self.thresholds is not None:
            raise MethodError("expected a rule or thresholds, found both: a rule has its own.")
        given = self.reweighting
        if given is not None and not isinstance(given, (str, Aggregator)):
            raise MethodError(f"expected reweighting as a name or a method, found {given!r}.")
        if isinstance(given, str):
            object.__setattr__(self, "reweighting", registered(given))
            if not isinstance(make(given), Reweighting):
                raise MethodError(f"expected a reweighting method, found '{given}'.")
        if not isinstance(self.design, (AdapterDesign, type(None))):
            raise MethodError(f"expected adapters as an AdapterDesign, found {self.design!r}.")
        for plan in self.plans("") if self.design is not None else ():
            self.method(plan)  # adapters do not go with every surgery of a rule

    def diagnose(self, profile: Profile) -> Diagnosis:
        """The verdict on a profile."""
        own = self.rule.thresholds if self.rule is not None else None
        return diagnose(profile, self.thresholds or own)

    def select(
        self, diagnosis: Diagnosis, weighted: bool = False, case: CurvatureCase | None = None
    ) -> Plan:
        """The plan for a verdict.

        Steps on residuals where the run can take them and the user asked for nothing else, whatever
        the verdict: they keep the user's weights. Only where gradients are imbalanced and the user
        has no weights, theirs are the NTK's.

        Args:
            weighted: whether the user weights the losses, as far as known; see ``rests``.
            case: of steps on residuals; ``None`` where they are not wanted.
        """
        decided = not (diagnosis.too_short and diagnosis.pairs)
        if case is not None and case.against is None and decided and not self._asked:
            imbalanced = diagnosis.regime == "magnitude" and not weighted
            kind: PlanKind = "curvature + reweighting" if imbalanced else "curvature"
            return Plan(kind, WEIGHTS if imbalanced else None, False, case.reason)
        plan = self._asked_for(select(diagnosis, self.name, rule=self.rule))
        if plan.kind == "none" or not self.rests(weighted):
            return plan
        reason = WEIGHTED.format(plan=plan)
        return Plan("none", None, False, reason, left_out=plan.reweighting)

    def rests(self, weighted: bool) -> bool:
        """Whether nothing is done: the user weights the losses, and asked for nothing else.

        Reweighting, adapters or a rule would be something else.
        """
        return weighted and not self._asked

    @property
    def _asked(self) -> bool:
        return any(choice is not None for choice in (self.reweighting, self.design, self.rule))

    def method(self, plan: Plan, searching: bool = False) -> Aggregator:
        """The method that carries out a plan.

        Args:
            plan: of a diagnosis.
            searching: whether an optimizer with a line search (L-BFGS) trains. Surgery rests then:
                coefficients that suit the gradients of one point would be held for all of the
                search, and beside the unknowns of inverse problems have no scalar objective.
        """
        given = self.reweighting
        chosen = given if isinstance(given, Aggregator) else None
        return plan.method(chosen, self.adapter_design, searching)

    def plans(self, reason: str) -> Iterator[Plan]:
        """Every plan but ``none`` that can come about."""
        for template in (self.rule or Rule.default()).plans.values():
            if template.kind != "none":
                name = template.reweighting and (self.name or template.reweighting)
                design, surgery = dict(template.design), template.surgery
                plan = Plan(template.kind, name, template.adapters, reason, design, surgery)
                yield self._asked_for(plan)

    def _asked_for(self, plan: Plan) -> Plan:
        plan = plan if self.residuals or self.reweighting is not None else _from_gradients(plan)
        return plan if self.design is None else plan.with_adapters()

    @property
    def adapter_design(self) -> AdapterDesign:
        """What the user chose of the adapters' design, or the default one."""
        return AdapterDesign() if self.design is None else self.design

    def without_residuals(self) -> Policy | None:
        """The same for losses whose residuals cannot be read.

        Returns:
            ``None`` if the user chose the reweighting, or no plan reads residuals.
        """
        if self.reweighting is not None or not self.reads_residuals:
            return None
        return replace(self, residuals=False)

    @property
    def reads_residuals(self) -> bool:
        """Whether a plan may have a method that reads residuals."""
        return any(self.method(plan).needs & READS_RESIDUALS for plan in self.plans(""))

    @property
    def name(self) -> str | None:
        """The name of the reweighting that the user chose, of its class if it is an object."""
        given = self.reweighting
        return type(given).__name__ if isinstance(given, Aggregator) else given


def _from_gradients(plan: Plan) -> Plan:
    """A plan with surgery alone in place of a reweighting that reads residuals."""
    if plan.reweighting is None or not reads_residuals(plan.reweighting):
        return plan
    kind: PlanKind = "adapters + surgery" if plan.adapters else "surgery"
    reason = f"{plan.reason} Residuals cannot be read: surgery alone, without '{plan.reweighting}'."
    surgery = plan.surgery or NO_RESIDUALS
    return replace(plan, kind=kind, reweighting=None, surgery=surgery, reason=reason)
