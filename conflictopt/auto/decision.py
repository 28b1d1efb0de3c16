"""One decision of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..diagnosis.diagnosis import Diagnosis
from ..selection.plan import Plan


@dataclass(frozen=True)
class Decision:
    """A verdict, and what became of it.

    Attributes:
        step: number of steps taken when it fell.
        diagnosis: the verdict.
        plan: in force from then on.
    """

    step: int
    diagnosis: Diagnosis
    plan: Plan

    def __str__(self) -> str:
        return f"{self.diagnosis.regime}, so {self.plan.kind}: {self.plan.reason}"

    def to_json(self) -> dict[str, Any]:
        """The decision as plain data, of the verdict what decided it."""
        return {
            "step": self.step,
            "steps": list(self.diagnosis.steps),
            "regime": self.diagnosis.regime,
            "too_short": self.diagnosis.too_short,
            "too_close": self.diagnosis.too_close,
            "after": self.plan.kind,
        }
