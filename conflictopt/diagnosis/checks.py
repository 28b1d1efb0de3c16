"""One number held against one threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One number held against one threshold.

    Attributes:
        what: what was measured, in words.
        value, threshold: the number and its threshold.
        relation: ``">="`` or ``"<="``, the side on which the check holds.
        holds: whether it does.
        low, high: 90 % interval of the number, see ``conflictopt.diagnosis.uncertainty``; the
            number itself where there are too few samples to tell.
    """

    what: str
    value: float
    relation: Literal[">=", "<="]
    threshold: float
    holds: bool
    low: float
    high: float

    def __str__(self) -> str:
        mark = "yes" if self.holds else "no"
        return f"{self.what}: {self.value:.3g} {self.relation} {self.threshold:g}? {mark}"


Interval = tuple[float, float]


def at_least(what: str, value: float, threshold: float, interval: Interval) -> Check:
    """A check that holds from the threshold up."""
    return Check(what, value, ">=", threshold, value >= threshold, *interval)


def at_most(what: str, value: float, threshold: float, interval: Interval) -> Check:
    """A check that holds from the threshold down."""
    return Check(what, value, "<=", threshold, value <= threshold, *interval)
