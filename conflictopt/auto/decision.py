"""One decision of a run, and the plans that are plausible beside the selected one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..diagnosis.diagnosis import Diagnosis
from ..selection.plan import Plan
from .race import RaceOutcome


@dataclass(frozen=True)
class Decision:
    """A verdict, and what became of it.

    Attributes:
        step: number of steps taken when it fell.
        diagnosis: the verdict.
        before: the plan in force until then; ``None`` at the first decision.
        after: the plan in force from then on.
        race: the second look, if there was one.
    """

    step: int
    diagnosis: Diagnosis
    before: Plan | None
    after: Plan
    race: RaceOutcome | None = None

    @property
    def switched(self) -> bool:
        """Whether the plan changed."""
        return self.before is None or not same_plan(self.after, self.before)

    def __str__(self) -> str:
        d, after = self.diagnosis, self.after
        first, last = d.steps
        over = f"rediagnosed over the steps {first} to {last}"
        if self.before is None:
            return f"{d.regime}, so {after.kind}: {after.reason}"
        if d.too_short:
            return f"{over}: {d.samples} samples are too few, so {after.kind} stays."
        numbers = "; ".join(map(str, d.checks))
        if d.too_close:
            return f"{over}: {d.regime}, but too close to call ({numbers}), so {after.kind} stays."
        if not self.switched and self.race is not None:
            return f"{over}: {d.regime} ({numbers}), but in the second look {after.kind} stays."
        if not self.switched:
            return f"{over}: {d.regime} ({numbers}), so {after.kind} stays."
        return f"{over}: {d.regime}, so {after.kind} instead of {self.before.kind}: {after.reason}"

    def to_json(self) -> dict[str, Any]:
        """The decision as plain data, of the verdict what decided it."""
        return {
            "step": self.step,
            "steps": list(self.diagnosis.steps),
            "regime": self.diagnosis.regime,
            "too_short": self.diagnosis.too_short,
            "too_close": self.diagnosis.too_close,
            "before": self.before.kind if self.before is not None else None,
            "after": self.after.kind,
            "race": self.race.to_json() if self.race is not None else None,
        }


def plausible(plan: Plan, present: Plan | None, reweighting: str | None) -> tuple[Plan, ...]:
    """The plans of a race; the first wins ties: the one in force, else the selected one.

    Plain training is always among them, the measure of the veto, and so is reweighting, where plans
    have any; adapters only where they were selected or are in force.

    Args:
        plan: selected.
        present: in force.
        reweighting: name of the reweighting that plans use, if they use any.
    """
    candidates = [] if present is None else [present]
    candidates += [plan, Plan("none", None, False, "the plain branch of a second look.")]
    if reweighting is not None:
        reason = "the reweighting branch of a second look."
        candidates.append(Plan("reweighting", reweighting, False, reason))
    found: list[Plan] = []
    for candidate in candidates:
        if not any(same_plan(candidate, known) for known in found):
            found.append(candidate)
    return tuple(found)


def same_plan(a: Plan, b: Plan) -> bool:
    """Whether two plans do the same; adapters are attached once, whatever a later design."""
    return str(a) == str(b)
