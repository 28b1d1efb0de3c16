"""What the steps of a profile cost: plain ones, and those that are sampled."""

from __future__ import annotations

import statistics
import time


class StepTimes:
    """Times the steps of a profile by when each of them ends.

    So whatever a loop does around its steps counts too. Medians, since a loop that evaluates its
    model now and then does so in the plain run as well.

    Args:
        every: steps between two samples, the first of which is of the first step.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._before: float | None = None
        self._plain: list[float] = []
        self._sampled: list[float] = []

    def ended(self, step: int) -> None:
        """A step ended.

        Args:
            step: its number, from 0.
        """
        now = time.perf_counter()
        if self._before is not None:
            sampled = step % self._every == 0
            (self._sampled if sampled else self._plain).append(now - self._before)
        self._before = now

    @property
    def plain(self) -> float | None:
        """Seconds of a plain step; ``None`` if none was timed."""
        return statistics.median(self._plain) if self._plain else None

    @property
    def overhead(self) -> float:
        """Seconds that the samples took more than plain steps would have."""
        if not self._sampled or self.plain is None:
            return 0.0
        each = statistics.median(self._sampled) - self.plain
        return max(0.0, each) * len(self._sampled)
