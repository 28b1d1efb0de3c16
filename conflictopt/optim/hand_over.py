"""Whether an optimizer that took over does better than the one before it had done."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

WINDOW = 20
"""Losses of as many steps in a row are one value, their median: single ones may be spikes, or of
another batch of points."""
TRIAL = 200
"""Steps after which the two are compared, once: an optimizer without a state begins anew, and
losses that are weighted otherwise later are not comparable."""
WORSE = 2.0
"""Times the loss right before: on a plateau, or on points that are drawn anew, losses are a little
higher or lower without meaning it."""


class HandOver:
    """Compares the losses after a change of optimizer with those right before it.

    Attributes:
        reference: the loss right before; ``None`` until the change, or if no step went before.
        since: steps since the change.
    """

    def __init__(self) -> None:
        self._recent: list[float] = []
        self.reference: float | None = None
        self.since = 0

    def note(self, loss: float) -> None:
        """A step was taken, with this loss at its beginning."""
        self._recent = [*self._recent, loss][-WINDOW:]
        self.since += 1

    def change(self) -> None:
        """Another optimizer takes the next step."""
        self.reference = statistics.median(self._recent) if self._recent else None
        self._recent, self.since = [], 0

    @property
    def over(self) -> bool:
        """Whether this is the step at which the two are compared."""
        return self.since == TRIAL

    @property
    def failed(self) -> bool:
        """Whether losses are far above those right before the change."""
        if self.reference is None or not self._recent:
            return False
        rise = statistics.median(self._recent) - self.reference
        return rise > (WORSE - 1) * abs(self.reference)

    def state_dict(self) -> dict[str, Any]:
        """Numbers that ``load_state_dict`` reads."""
        return {"recent": list(self._recent), "reference": self.reference, "since": self.since}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            KeyError: not what ``state_dict`` gives.
        """
        recent, reference, since = saved["recent"], saved["reference"], saved["since"]
        self._recent, self.reference, self.since = list(recent), reference, since
