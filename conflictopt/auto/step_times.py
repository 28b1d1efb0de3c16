"""What the steps of a profile cost: plain ones, and those that are sampled."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any


class StepTimes:
    """Times the steps of a profile.

    Args:
        every: steps between two samples, the first of which is of the first step.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._began: float | None = None
        self._plain: list[float] = []
        self._sampled: list[float] = []

    def began(self) -> None:
        """A step begins."""
        self._began = time.perf_counter()

    def ended(self, step: int) -> None:
        """It ended.

        Args:
            step: its number, from 0.
        """
        if self._began is None:
            return
        sampled = step % self._every == 0
        (self._sampled if sampled else self._plain).append(time.perf_counter() - self._began)
        self._began = None

    @property
    def plain(self) -> float | None:
        """Seconds of a step without a sample, in the median; ``None`` if none was timed."""
        return statistics.median(self._plain) if self._plain else None

    @property
    def total(self) -> float:
        """Seconds of all of them."""
        return sum(self._plain) + sum(self._sampled)

    def overhead(self, plain: float) -> float:
        """Seconds that all of them took more than plain steps would have, by medians.

        Args:
            plain: seconds of a plain step.
        """
        kinds = (self._plain, self._sampled)
        more = (max(0.0, statistics.median(k) - plain) * len(k) for k in kinds if k)
        return sum(more)

    def state_dict(self) -> dict[str, Any]:
        """Numbers that ``load_state_dict`` goes on from."""
        return {"plain": list(self._plain), "sampled": list(self._sampled)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self._plain = [float(t) for t in saved["plain"]]
        self._sampled = [float(t) for t in saved["sampled"]]

    def __getstate__(self) -> dict[str, Any]:
        # a step that began in another process ends in none
        return {**self.__dict__, "_began": None}
