"""What trainings came to, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..wording import number

_RISING = ("accuracy",)
"""Metrics, by a part of their names, that are better the larger they are."""
LOSS = "train loss"


@dataclass(frozen=True)
class Training:
    """A training over its seconds.

    Attributes:
        seconds: ``[n]`` within calls of ``train``, at every display.
        loss: ``[n]`` sums of the train losses there, weights of the user's included.
        metrics: name -> ``[n]`` those of the script; NaN where it asked for none.
        total: seconds of the whole; ``None`` if nobody knows.
    """

    seconds: Sequence[float] = ()
    loss: Sequence[float] = ()
    metrics: Mapping[str, Sequence[float]] = field(default_factory=dict)
    total: float | None = None

    def of(self, measure: str) -> Sequence[float]:
        """``[n]`` values of a metric, or of the loss."""
        return self.metrics.get(measure, self.loss)

    def last(self, measure: str) -> float:
        """The value at the end: NaN if there is none."""
        values = self.of(measure)
        return values[-1] if len(values) else math.nan


def measure_of(trainings: Mapping[str, Training]) -> str:
    """What they are judged by: the script's first metric that falls, or else the train loss."""
    last = list(trainings.values())[-1]
    falling = [m for m in last.metrics if not any(part in m.lower() for part in _RISING)]
    common = [m for m in falling if all(m in t.metrics for t in trainings.values())]
    return next(iter(common), LOSS)


def brought(trainings: Mapping[str, Training]) -> tuple[str, ...]:
    """What the last training came to beside each of the others, a sentence each."""
    if len(trainings) < 2:
        return ()
    *others, (name, own) = trainings.items()
    measure = measure_of(trainings)
    return tuple(_sentence(measure, name, own, label, other) for label, other in others)


def _sentence(measure: str, name: str, own: Training, label: str, other: Training) -> str:
    ended, before = own.last(measure), other.last(measure)
    what = measure.replace("_", " ")
    known = math.isfinite(ended) and math.isfinite(before) and before > 0
    ratio = f"{number(ended / before, 2)} times that of {label}" if known else f"beside {label}"
    time = ""
    if own.total and other.total:
        time = f", in {number(own.total / other.total, 2)} times its training time"
    found = f"With {name} the {what} ends at {number(ended)}, {ratio} ({number(before)}){time}."
    return found if not known or ended < before else f"{found} That is no gain."
