"""How much CPU time a run may take, and when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FRACTIONS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0)
"""Parts of the plain run's time at which runs are compared."""
_FIRST = 0.01
"""Of the plain run's time, the first at which a run is looked at."""


@dataclass(frozen=True)
class Allowance:
    """The time of a run.

    Attributes:
        plain_step_s: CPU seconds of a plain step.
        steps: of the plain run.
        horizon: how many times the plain run's time this run may take.
    """

    plain_step_s: float
    steps: int
    horizon: float

    @property
    def plain_run_s(self) -> float:
        """T, CPU seconds of the plain run."""
        return self.plain_step_s * self.steps

    @property
    def limit_s(self) -> float:
        """CPU seconds that the run may take."""
        return self.horizon * self.plain_run_s


def noted_fractions(horizon: float, count: int) -> list[float]:
    """Parts of T, ascending: about ``count``, with even ratios, and those of ``FRACTIONS``.

    >>> [round(f, 3) for f in noted_fractions(1.0, 3)]
    [0.01, 0.1, 0.25, 0.5, 1.0]
    """
    even = np.geomspace(min(_FIRST, horizon), horizon, max(count, 2))
    fixed = [f for f in FRACTIONS if f <= horizon]
    # one beside another would be looked at for nothing
    kept = [float(f) for f in even if all(abs(f / g - 1) > 1e-3 for g in fixed)]
    return sorted([*kept, *fixed])


class Marks:
    """Times at which a run is looked at, one after the other.

    Args:
        times: in seconds, ascending.
    """

    def __init__(self, times: Sequence[float]) -> None:
        self._left = list(times)

    def passed(self, time_s: float) -> bool:
        """Whether a time is beyond the next mark; marks that it has passed are over then."""
        before = len(self._left)
        while self._left and self._left[0] < time_s:
            self._left.pop(0)
        return len(self._left) < before
