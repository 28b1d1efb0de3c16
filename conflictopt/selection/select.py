"""From a diagnosis to a plan, as a rule says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..core.errors import MethodError
from ..diagnosis.numbers import DiagnosisNumbers
from ..wording import counted, factor
from .plan import Plan
from .plan_template import PlanKind, PlanTemplate
from .rule import Rule

PAPER: Mapping[str, PlanKind] = {
    "persistent": "adapters + reweighting",
    "magnitude": "reweighting",
    "benign": "none",
}
"""The plan of each regime that the abstract of arXiv 2605.10136 recommends."""


def select(
    diagnosis: DiagnosisNumbers,
    reweighting: str | None = None,
    *,
    rule: Rule | str | Path | None = None,
) -> Plan:
    """Choose a plan by the regime, as a rule says.

    One loss, or a profile that is too short: nothing. A verdict that is too close to call: the
    rule's plan for that. Else the rule's plan for the regime.

    Args:
        diagnosis: of the unmodified run.
        reweighting: name of the reweighting method to use wherever the rule has one; the rule's
            own unless given.
        rule: a rule, or the file of one (``conflictopt calibrate`` makes some); unless given the
            one that comes with conflictopt.

    Raises:
        RuleError: a file that is no rule.
        MethodError: a rule was given, and the diagnosis held the numbers against other thresholds
            than the rule's.
    """
    chosen = Rule.default() if rule is None else rule
    chosen = chosen if isinstance(chosen, Rule) else Rule.load(chosen)
    if rule is not None and chosen.thresholds != diagnosis.thresholds:
        raise MethodError(
            "expected a diagnosis by the rule's thresholds, found one by others: call "
            f"diagnose(profile, rule.thresholds). Rule: {chosen.thresholds}; diagnosis: "
            f"{diagnosis.thresholds}."
        )
    if not diagnosis.pairs:
        return Plan("none", None, False, "there is only one loss: nothing can conflict.")
    if diagnosis.too_short:
        enough = diagnosis.thresholds.enough_samples
        samples = counted(diagnosis.samples, "sample")
        reason = f"a profile of {samples} decides nothing; {enough} are needed."
        return Plan("none", None, False, reason)
    situation = diagnosis.situation
    assert situation is not None
    template = chosen.plans[situation]
    reason = _numbers(diagnosis) + _departure(situation, template, chosen)
    method = template.reweighting and (reweighting or template.reweighting)
    return Plan(
        template.kind, method, template.adapters, reason, dict(template.design), template.surgery
    )


def _numbers(diagnosis: DiagnosisNumbers) -> str:
    """What decided, as a sentence."""
    ratio = f"gradient-norm ratio {factor(diagnosis.norm_ratio)}"
    limits = diagnosis.thresholds
    if diagnosis.too_close:
        return (
            f"the verdict '{diagnosis.regime}' is too close to call: its confidence "
            f"{diagnosis.confidence:.2f} is below {limits.enough_confidence:g}."
        )
    if diagnosis.regime == "persistent":
        p = diagnosis.worst_pair
        assert p is not None
        return (
            f"'{p.first}' and '{p.second}' conflict in {p.conflict_late:.0%} of the last half of "
            f"the profile, mean cosine {p.cosine_late:.2f}."
        )
    if diagnosis.regime == "magnitude":
        return (
            f"no pair conflicts persistently, but {ratio} is at least {limits.magnitude_ratio:g}."
        )
    return f"no pair conflicts persistently, and {ratio} is moderate."


def _departure(situation: str, template: PlanTemplate, rule: Rule) -> str:
    """Where the rule does not do what the paper recommends, a sentence that says so."""
    paper = PAPER.get(situation)
    if paper is None or template.kind == paper:
        return ""
    evidence = rule.evidence.get(f"plans.{situation}") or "it states no evidence"
    return f" arXiv 2605.10136 recommends '{paper}' here, the rule '{template.kind}': {evidence}"
