"""When steps of the stage after the profile are taken, in a loop that goes on as it is."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ..wording import counted

_GIVEN_UP = 0
_ROUNDING = 1e-9
"""Of sums of seconds: plain steps alone take no longer than they do."""
_FEW = 9
"""First-order steps whose median says what one costs."""


class StagePace:
    """Divides the time of plain steps among steps that each take as long as many of them.

    Every call of ``step`` that a loop makes adds the seconds of a plain one to those that may be
    spent. A step on residuals is taken in a call once they suffice for one as long as the last; a
    first-order one is left out where they do not. So the loop ends when it would have ended, and
    what it does after so many steps it does after the same share of the training.

    Args:
        seconds: of a plain step, without what the loop does around it, which it goes on doing; or
            whatever one may take.
        debt: seconds that were spent more than plain steps would have been, before.
        replayed: the ``history`` of another run, which is repeated instead of going by time.

    Attributes:
        calls: so far.
        spent: seconds so far, with the debt.
        stepped: those of steps.
        taken: the call of every step on residuals so far, from 1; a 0 says that they were given up.
        missed: the calls in which a first-order step was left out.
        firsts: number of first-order steps so far.
        owed: those that are to be made up for, one in a call beside its own.
        others: what it says of as many others, a clause.
    """

    def __init__(
        self, seconds: float, debt: float = 0.0, replayed: Sequence[int] | None = None
    ) -> None:
        self.seconds, self.spent, self.stepped = seconds, debt, 0.0
        self.calls, self.taken, self.missed, self.firsts = 0, list[int](), list[int](), 0
        self._last, self._firsts, self._rested, self._looked = 0.0, list[float](), 0, 0
        self.owed, self._made_up, self.others = 0, 0, "plain ones would have taken"
        self._replayed: list[int] | None = None
        self._left_out = frozenset[int]()
        if replayed is not None:
            self._replayed = [n for n in replayed if n >= 0]
            self._left_out = frozenset(-n for n in replayed if n < 0)

    @property
    def history(self) -> list[int]:
        """What another run needs to repeat this one: ``taken``, then ``missed``, negative."""
        return [*self.taken, *(-call for call in self.missed)]

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

    def due_first(self) -> bool:
        """Whether a first-order step, or one that is made up for, is taken in this call."""
        if self._looked == self.calls:
            return self._makes_up()
        self._looked = self.calls
        if self._replayed is not None:
            due = self.calls not in self._left_out
        else:
            time = self.calls * self.seconds * (1 + _ROUNDING)
            due = self.spent + self._first_order_cost <= time
        if not due:
            self.missed.append(self.calls)
        return due

    def took(self, seconds: float) -> None:
        """A step on residuals was taken, or refused.

        Args:
            seconds: that it took.
        """
        self.spent += seconds
        self.stepped += seconds
        self._last = seconds
        self.taken.append(self.calls)

    def took_first(self, seconds: float | None) -> None:
        """A first-order step was taken.

        Args:
            seconds: that it took; ``None`` of a plain one, which costs what one does. Others cost
                the median of the last few, as plain ones do: single steps that are held up count in
                neither.
        """
        recent = [*self._firsts, self.seconds if seconds is None else seconds][-_FEW:]
        self._firsts = [self.seconds] if seconds is None else recent
        self.spent += self._first_order_cost
        self.stepped += self._first_order_cost
        self.firsts += 1

    def _makes_up(self) -> bool:
        """Whether a second step is taken in this call."""
        if not self.owed or self._made_up == self.calls:
            return False
        self._made_up = self.calls
        self.owed -= 1
        return True

    @property
    def _first_order_cost(self) -> float:
        """Of a first-order step."""
        return statistics.median(self._firsts) if self._firsts else 0.0

    def forgive(self, most: int) -> None:
        """What was spent need not be paid: what goes on is what there would have been without it,
        and makes up for the calls so far.

        Args:
            most: calls that are made up for, at most.
        """
        self.owed = min(self.calls - self.firsts, most)
        self.spent = (self.calls - self.owed) * self.seconds

    def affordable(self, calls: int) -> float:
        """In how many of the calls to come plain steps could be taken."""
        over = self.spent - self.calls * self.seconds
        return calls - over / self.seconds if self.seconds else 0.0

    def undone(self) -> None:
        """The loop's call was not completed, and comes again."""
        self.calls -= 1
        self._looked = self._made_up = 0

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
        firsts = f" and {counted(self.firsts, 'first-order step')}" if self.firsts else ""
        steps = sum(call > 0 for call in self.taken)
        return (
            f"{counted(steps, 'step')} on residuals{firsts} in {self.stepped:.3g} s so far; "
            f"{self.calls} {self.others} {self.calls * self.seconds:.3g} s."
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
        first = {"recent": list(self._firsts), "firsts": self.firsts, "owed": self.owed}
        return {**numbers, **more, **first, "taken": list(self.taken), "missed": list(self.missed)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.seconds, self.spent = float(saved["seconds"]), float(saved["spent"])
        self.calls, self._last = int(saved["calls"]), float(saved["last"])
        self.stepped, self._rested = float(saved["stepped"]), int(saved["rested"])
        self._firsts, self.firsts = [float(s) for s in saved["recent"]], int(saved["firsts"])
        self.owed = int(saved["owed"])
        self.taken = [int(call) for call in saved["taken"]]
        self.missed = [int(call) for call in saved["missed"]]
