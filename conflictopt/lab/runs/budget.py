"""How much a run may use: the same for every method of a problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...core.errors import ConflictOptError


class BudgetError(ConflictOptError, ValueError):
    """An unknown budget or a number of steps that makes no run."""


@dataclass(frozen=True)
class Budget:
    """Steps, points and network of a run.

    Attributes:
        name: ``smoke``, ``cpu`` or ``paper``.
        steps: optimizer steps; the profile of ``auto`` is among them.
        profile_steps: length of the profile.
        profile_every: steps between its samples.
        small_points: the specification's small point numbers rather than the full ones ...
        point_scale: ... times this.
        width_scale: hidden widths relative to the specification's.
        learning_rate, final_rate: of Adam at the first and last step; cosine between.
        curve_points: number of times at which losses and errors are noted.
    """

    name: str
    steps: int
    profile_steps: int
    profile_every: int
    small_points: bool
    point_scale: float
    width_scale: float
    learning_rate: float = 1e-3
    final_rate: float = 1e-5
    curve_points: int = 40

    def rate(self, step: float) -> float:
        """The learning rate of a step relative to that of the first."""
        low = self.final_rate / self.learning_rate
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def width(self, suggested: int) -> int:
        """The hidden width for a suggested one."""
        return max(8, round(suggested * self.width_scale))

    def settings(self, points: Mapping[str, int], sizes: list[int]) -> dict[str, Any]:
        """All of it as plain data, with the numbers of one problem."""
        own = {k: v for k, v in asdict(self).items() if k != "name"}
        return {
            **own,
            "schedule": "cosine",
            "optimizer": "adam",
            "points": dict(points),
            "hidden_layers": len(sizes) - 2,
            "width": sizes[1],
        }


BUDGETS = {
    b.name: b
    for b in (
        Budget("smoke", 60, 50, 1, True, 1 / 16, 1 / 4, curve_points=5),
        Budget("cpu", 3000, 1000, 10, True, 1 / 2, 1 / 2, learning_rate=1.6e-2),
        Budget("paper", 20_000, 1000, 10, False, 1.0, 1.0),
    )
}


def budget(name: str, steps: int | None = None) -> Budget:
    """A budget by name.

    Args:
        name: ``smoke`` (seconds a run), ``cpu`` (about ten seconds on one core) or ``paper`` (full
            points and widths).
        steps: another number of steps.

    Raises:
        BudgetError: an unknown name, or fewer steps than the profile takes.
    """
    if name not in BUDGETS:
        raise BudgetError(f"expected a budget among {', '.join(BUDGETS)}, found '{name}'.")
    found = BUDGETS[name]
    if steps is None:
        return found
    if steps <= found.profile_steps:
        raise BudgetError(
            f"expected more steps than the profile's {found.profile_steps}, found {steps}: give "
            f"steps (--steps) a larger number, or leave it out for the {found.steps} of '{name}'."
        )
    return replace(found, steps=steps)
