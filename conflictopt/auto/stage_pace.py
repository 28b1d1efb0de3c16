"""When steps on residuals are taken, in a loop that goes on as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..wording import counted

_GIVEN_UP = 0


class StagePace:
    """Divides the time of plain steps among steps that each take as long as many of them.

    Every call of ``step`` that a loop makes adds the seconds of a plain one to those that may be
    spent. A step on residuals is taken in a call once they suffice for one as long as the last. So
    the loop ends when it would have ended, and what it does after so many steps it does after the
    same share of the training.

    Args:
        seconds: of a plain step, without what the loop does around it, which it goes on doing.
        debt: seconds that were spent more than plain steps would have been, before.
        replayed: numbers of the calls in which steps are taken, one for each step, instead of by
            time: those that ``taken`` had in another run.

    Attributes:
        calls: so far.
        spent: seconds so far, with the debt.
        stepped: those of steps on residuals.
        taken: the call of every step so far, from 1; a 0 at the end says that they were given up.
    """

    def __init__(
        self, seconds: float, debt: float = 0.0, replayed: Sequence[int] | None = None
    ) -> None:
        self.seconds, self.spent, self.stepped = seconds, debt, 0.0
        self.calls, self.taken = 0, list[int]()
        self._last, self._rested = 0.0, 0
        self._replayed = None if replayed is None else list(replayed)

    def call(self) -> None:
        """The loop calls ``step``."""
        self.calls += 1

    @property
    def due(self) -> bool:
        """Whether a step, or another one, is taken in this call."""
        if self._replayed is not None:
            count = len(self.taken)
            return count < len(self._replayed) and self._replayed[count] <= self.calls
        return self.spent + self._last <= self.calls * self.seconds

    def took(self, seconds: float) -> None:
        """A step was taken, or refused.

        Args:
            seconds: that it took.
        """
        self.spent += seconds
        self.stepped += seconds
        self._last = seconds
        self.taken.append(self.calls)

    def rest(self) -> None:
        """No step is taken for some time."""
        self._rested = self.calls

    def waited(self, steps: int) -> bool:
        """Whether it has been as long since ``rest`` as so many steps would have taken; of a
        repeated run, whether it took one now.
        """
        if self._replayed is not None:
            return self.due
        return (self.calls - self._rested) * self.seconds >= steps * self._last

    @property
    def told(self) -> str:
        """What was spent so far, a sentence."""
        return (
            f"{counted(len(self.taken), 'step')} on residuals in {self.stepped:.3g} s so far; "
            f"{self.calls} plain ones would have taken {self.calls * self.seconds:.3g} s."
        )

    def fitting(self, calls: int) -> float:
        """How many steps like the last one fit into the time of calls to come."""
        return calls * self.seconds / self._last if self._last else float("inf")

    def too_few(self, calls: int, least: int) -> bool:
        """Whether fewer fit than are worth while; of a repeated run, whether it found so."""
        if self._replayed is not None:
            return self._replayed[len(self.taken) :][:1] == [_GIVEN_UP]
        return self.fitting(calls) < least

    def give_up(self) -> None:
        """Too few fit: there are none after these."""
        self.taken.append(_GIVEN_UP)

    def state_dict(self) -> dict[str, Any]:
        """Numbers that ``load_state_dict`` goes on from."""
        numbers = {"seconds": self.seconds, "spent": self.spent, "calls": self.calls}
        more = {"last": self._last, "stepped": self.stepped, "rested": self._rested}
        return {**numbers, **more, "taken": list(self.taken)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.seconds, self.spent = float(saved["seconds"]), float(saved["spent"])
        self.calls, self._last = int(saved["calls"]), float(saved["last"])
        self.stepped, self._rested = float(saved["stepped"]), int(saved["rested"])
        self.taken = [int(call) for call in saved["taken"]]
