"""How often losses conflicted, from their gradients to the update that was taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ConflictCounts:
    """Steps that were looked at, and those with a conflict, by stage.

    Attributes:
        steps: that were looked at.
        gradients: in which two losses' gradients point against each other (R_g over ``steps``).
        direction: in which the method's direction raises a loss to first order (R_a).
        proposed: in which the wrapped optimizer's update does (R_u).
        taken: in which what became of it does (R_p).

    Source: the four rates of arXiv 2609.01558.
    """

    steps: int = 0
    gradients: int = 0
    direction: int = 0
    proposed: int = 0
    taken: int = 0

    def counted(
        self, *, gradients: bool, direction: bool, proposed: bool, taken: bool
    ) -> ConflictCounts:
        """With one more step."""
        return ConflictCounts(
            self.steps + 1,
            self.gradients + gradients,
            self.direction + direction,
            self.proposed + proposed,
            self.taken + taken,
        )

    @property
    def rates(self) -> dict[str, float]:
        """Shares of the steps, by stage; empty before the first."""
        if not self.steps:
            return {}
        names = [f.name for f in fields(self) if f.name != "steps"]
        return {name: getattr(self, name) / self.steps for name in names}

    def state_dict(self) -> dict[str, int]:
        """Plain numbers."""
        return asdict(self)

    @classmethod
    def of(cls, saved: Mapping[str, Any] | None) -> ConflictCounts:
        """From ``state_dict``; of none, nothing was looked at."""
        return cls(**(saved or {}))
