"""How much of its time a run has spent, told in plain runs."""

from __future__ import annotations

from collections.abc import Callable

_AGAIN = 0.1
"""Of the plain run's time: how often the plain step is measured anew."""


class PlainClock:
    """Counts seconds as parts of the plain run's time, at the machine's present speed.

    What else a machine does may change the cost of a step by half within a minute, of plain steps
    as of others; so each stretch of a run is held against plain steps of the same minute.

    Args:
        measure: gives the CPU seconds of a plain step at present.
        steps: of the plain run.

    Attributes:
        spent: the time so far, relative to the plain run's.
        seconds: the time so far.
        measured: seconds of a plain step before the run, and after every tenth of T.
    """

    def __init__(self, measure: Callable[[], float], steps: int) -> None:
        self._measure, self._steps = measure, steps
        self.spent = self.seconds = 0.0
        self.measured = [measure()]
        self._next = _AGAIN

    def add(self, seconds: float) -> float:
        """Count seconds of the run; how much of the plain run's time they were."""
        part = seconds / (self.measured[-1] * self._steps)
        self.spent += part
        self.seconds += seconds
        if self.spent >= self._next:
            self.measured.append(self._measure())
            self._next = self.spent + _AGAIN
        return part

    @property
    def plain_run_s(self) -> float:
        """T, seconds of the plain run, in the mean over the run."""
        if self.spent == 0:
            return self.measured[0] * self._steps
        return self.seconds / self.spent
