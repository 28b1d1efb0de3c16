"""What thresholds and plans rest on, as tables of the page."""

from __future__ import annotations

from ...diagnosis.thresholds import Thresholds
from ...selection.rule import Rule
from ..glossary import REGIMES
from ..parts import ReportTable

_SITUATIONS = {**REGIMES, "too_close": "too close to call"}


def plan_table(rule: Rule, applied: str | None) -> ReportTable:
    """Each plan of the rule with its evidence; the one that applied is marked."""
    rows = tuple(
        (
            _SITUATIONS[name] + (" (here)" if name == applied else ""),
            str(plan),
            rule.evidence.get(f"plans.{name}", ""),
        )
        for name, plan in rule.plans.items()
    )
    return ReportTable("", ("verdict", "plan", "evidence"), rows, words=(0, 1, 2))


def threshold_table(rule: Rule, used: Thresholds) -> ReportTable:
    """Each threshold that was used, with its evidence."""
    rows = tuple(
        (name.replace("_", " "), f"{value:g}", _evidence(rule, name, value))
        for name, value in vars(used).items()
    )
    return ReportTable("", ("threshold", "value", "evidence"), rows, words=(0, 2))


def _evidence(rule: Rule, name: str, value: float) -> str:
    """What justifies a threshold; the rule's evidence is for the rule's value."""
    own = getattr(rule.thresholds, name)
    if value != own:
        return f"chosen for this run; the rule has {own:g}"
    return rule.evidence.get(f"thresholds.{name}", "")
