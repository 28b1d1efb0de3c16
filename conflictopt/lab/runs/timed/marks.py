"""When a timed run is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FRACTIONS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0)
"""Parts of the plain run's time at which runs are compared."""
_FIRST = 0.01
"""Of the plain run's time, the first at which a run is looked at."""
_ROUNDING = 1e-9


def beyond(mark: float, part: float) -> bool:
    """Whether a part of T is beyond another, which many steps may have added up to."""
    return part > mark * (1 + _ROUNDING)


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
    """Parts of T at which a run is looked at, one after the other.

    Args:
        parts: ascending.
    """

    def __init__(self, parts: Sequence[float]) -> None:
        self._left = list(parts)

    def passed(self, part: float) -> bool:
        """Whether a part is beyond the next mark; marks that it has passed are over then."""
        before = len(self._left)
        while self._left and beyond(self._left[0], part):
            self._left.pop(0)
        return len(self._left) < before
