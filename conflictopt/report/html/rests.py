"""What thresholds and plans rest on."""

from __future__ import annotations

from ...selection.rule import Rule
from ..content import Findings
from ..glossary import REGIMES
from . import parts

_SITUATIONS = {**REGIMES, "too_close": "too close to call"}


def rests(findings: Findings) -> str:
    """Each entry of the rule with its evidence; the one that applied is marked."""
    rule, applied = findings.rule, findings.diagnosis.situation
    limits = vars(findings.diagnosis.thresholds)
    thresholds = [
        (name.replace("_", " "), f"{value:g}", _evidence(rule, name, value))
        for name, value in limits.items()
    ]
    plans = [
        (
            _SITUATIONS[name] + (" (here)" if name == applied else ""),
            str(plan),
            rule.evidence.get(f"plans.{name}", ""),
        )
        for name, plan in rule.plans.items()
    ]
    return parts.section(
        "What the choice rests on",
        parts.paragraph(
            "The plan follows a rule: thresholds decide the verdict, and the verdict the plan. "
            "This is what justifies each entry. The rule was not made on your problem: whether "
            "its plan helps there, a comparison with the plain run shows."
        ),
        parts.paragraph(rule.about, "note"),
        parts.table(("verdict", "plan", "evidence"), plans, words=(0, 1, 2)),
        parts.table(("threshold", "value", "evidence"), thresholds, words=(0, 2)),
    )


def _evidence(rule: Rule, name: str, value: float) -> str:
    """What justifies a threshold; the rule's evidence is for the rule's value."""
    own = getattr(rule.thresholds, name)
    if value != own:
        return f"chosen for this run; the rule has {own:g}"
    return rule.evidence.get(f"thresholds.{name}", "")
