"""The rule of selection: thresholds of the regimes and a plan for each, with their evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..core.errors import ConflictOptError, MethodError
from ..diagnosis.defaults import shipped
from ..diagnosis.thresholds import Thresholds
from .plan_template import PlanTemplate

SITUATIONS = ("persistent", "magnitude", "benign", "too_close")
"""What a rule has a plan for: the regimes, and a verdict too close to call."""


class RuleError(ConflictOptError, ValueError):
    """A rule, or the file of one, cannot be used; names the field."""


@dataclass(frozen=True)
class Rule:
    """Thresholds of the regimes and what to do in each.

    Attributes:
        thresholds: for ``diagnose``.
        plans: a template for each of ``SITUATIONS``. A profile that is too short to decide has
            none: nothing is done then.
        evidence: per entry, ``thresholds.NAME`` or ``plans.NAME``, the sentence that justifies it.
        about: where the rule is from.

    Raises:
        RuleError: a situation without a plan, or an unknown one.
    """

    thresholds: Thresholds
    plans: Mapping[str, PlanTemplate]
    evidence: Mapping[str, str] = field(default_factory=dict)
    about: str = ""

    def __post_init__(self) -> None:
        _check_keys("plans", self.plans, SITUATIONS)
        known = [f"thresholds.{f.name}" for f in fields(Thresholds)]
        known += [f"plans.{name}" for name in SITUATIONS]
        unknown = [key for key in self.evidence if key not in known]
        if unknown:
            raise RuleError(f"evidence: expected entries of the rule, found {unknown}.")

    @classmethod
    def default(cls) -> Rule:
        """The rule that comes with conflictopt."""
        return _default()

    @classmethod
    def load(cls, path: str | Path) -> Rule:
        """Read what ``save`` or ``conflictopt calibrate`` wrote.

        Raises:
            RuleError: no such file, no JSON, or a field that is missing, unknown or has a bad
                value; the message names file and field.
        """
        path = Path(path)
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise RuleError(f"expected a rule at '{path}': {error.strerror}.") from None
        except (RuleError, ValueError) as error:
            raise RuleError(f"'{path}' is no rule: {error}") from None

    @classmethod
    def from_json(cls, content: Any) -> Rule:
        """What ``to_json`` gave.

        Raises:
            RuleError: see ``load``.
        """
        _check_keys("rule", content, ("thresholds", "plans"), ("about",))
        names = [f.name for f in fields(Thresholds)]
        _check_keys("thresholds", content["thresholds"], names)
        _check_keys("plans", content["plans"], SITUATIONS)
        values: dict[str, Any] = {n: _threshold(n, content["thresholds"][n]) for n in names}
        try:
            thresholds = Thresholds(**values)
        except MethodError as error:
            raise RuleError(f"thresholds: {error}") from None
        plans = {n: _template(n, content["plans"][n]) for n in SITUATIONS}
        evidence = {
            f"{part}.{name}": entry["evidence"]
            for part in ("thresholds", "plans")
            for name, entry in content[part].items()
        }
        return cls(thresholds, plans, evidence, str(content.get("about", "")))

    def to_json(self) -> dict[str, Any]:
        """The rule as plain data, each entry with its evidence."""

        def with_evidence(key: str, entry: dict[str, Any]) -> dict[str, Any]:
            return {**entry, "evidence": self.evidence.get(key, "")}

        values = asdict(self.thresholds)
        return {
            "about": self.about,
            "thresholds": {
                n: with_evidence(f"thresholds.{n}", {"value": v}) for n, v in values.items()
            },
            "plans": {n: with_evidence(f"plans.{n}", self.plans[n].to_json()) for n in SITUATIONS},
        }

    def save(self, path: str | Path) -> Path:
        """Write the rule as JSON."""
        path = Path(path)
        path.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
        return path


@lru_cache(maxsize=1)
def _default() -> Rule:
    return Rule.from_json(shipped())


def _threshold(name: str, entry: Any) -> float:
    where = f"thresholds.{name}"
    _check_keys(where, entry, ("value", "evidence"))
    _check_text(where, entry["evidence"])
    value = entry["value"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RuleError(f"{where}.value: expected a number, found {value!r}.")
    return value


def _template(name: str, entry: Any) -> PlanTemplate:
    where = f"plans.{name}"
    _check_keys(where, entry, ("kind", "evidence"), ("reweighting", "surgery", "adapters"))
    _check_text(where, entry["evidence"])
    try:
        return PlanTemplate(
            entry["kind"],
            entry.get("reweighting"),
            entry.get("adapters", {}),
            entry.get("surgery"),
        )
    except MethodError as error:
        raise RuleError(f"{where}: {error}") from None


def _check_keys(where: str, entry: Any, needed: Any, optional: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, Mapping):
        raise RuleError(f"{where}: expected an object, found {type(entry).__name__}.")
    missing = [key for key in needed if key not in entry]
    unknown = [key for key in entry if key not in (*needed, *optional)]
    if missing or unknown:
        found = f"lacks {missing}" if missing else f"has also {unknown}"
        raise RuleError(f"{where}: expected {', '.join((*needed, *optional))}; it {found}.")


def _check_text(where: str, evidence: Any) -> None:
    if not isinstance(evidence, str):
        raise RuleError(f"{where}.evidence: expected a sentence, found {evidence!r}.")
