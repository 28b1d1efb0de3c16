"""A strip of space and time: an interval in x times an interval in t, and points of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .reference_error import ReferenceSolutionError

Array = NDArray[np.float64]
_SLACK = 1e-6  # of an interval: points that float32 rounded across an end still count as inside


@dataclass(frozen=True)
class Strip:
    """One space input and the time, in the order in which a problem has them.

    Attributes:
        inputs: the two names; one of them is ``t``.
        intervals: lower and upper end of each.

    Raises:
        ReferenceSolutionError: other inputs, or an empty interval.
    """

    inputs: tuple[str, ...]
    intervals: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.inputs) != 2 or self.inputs.count("t") != 1:
            raise ReferenceSolutionError(
                "a numerical reference needs one space input and 't', "
                f"found {', '.join(self.inputs) or 'no inputs'}."
            )
        for name, (low, high) in zip(self.inputs, self.intervals, strict=True):
            if not -np.inf < low < high < np.inf:
                raise ReferenceSolutionError(
                    f"{name}: expected an interval, found [{low}, {high}]."
                )

    @property
    def coordinate(self) -> str:
        """The name of the space input."""
        return self.inputs[1 - self._t]

    @property
    def space(self) -> tuple[float, float]:
        """Lower and upper end in space."""
        return self.intervals[1 - self._t]

    @property
    def time(self) -> tuple[float, float]:
        """First and last time."""
        return self.intervals[self._t]

    @property
    def duration(self) -> float:
        """From the first to the last time."""
        return self.time[1] - self.time[0]

    @property
    def _t(self) -> int:
        return self.inputs.index("t")

    def points(self, x: Array, t: Array) -> Array:
        """``[N, 2]`` points in input order from ``[N]`` positions and times."""
        return np.stack([x, t] if self._t == 1 else [t, x], axis=1)

    def product(self, x: Array, t: Array) -> Array:
        """``[T * X, 2]`` points at all positions ``[X]`` and times ``[T]``, time by time."""
        return self.points(np.tile(x, len(t)), np.repeat(t, len(x)))

    def split(self, points: ArrayLike) -> tuple[Array, Array]:
        """Positions and times ``[N]`` of points ``[N, 2]`` in input order.

        Raises:
            ReferenceSolutionError: another shape, or a point outside.
        """
        found = np.asarray(points, dtype=np.float64)
        if found.ndim != 2 or found.shape[1] != 2:
            raise ReferenceSolutionError(
                f"expected points [N, 2] in the order ({', '.join(self.inputs)}), "
                f"found shape {list(found.shape)}."
            )
        x = _inside(found[:, 1 - self._t], self.space, self.coordinate)
        return x, _inside(found[:, self._t], self.time, "t")


def _inside(values: Array, interval: tuple[float, float], name: str) -> Array:
    low, high = interval
    slack = _SLACK * (high - low)
    outside = ~((values >= low - slack) & (values <= high + slack))
    if outside.any():
        raise ReferenceSolutionError(
            f"expected {name} in [{low:g}, {high:g}], found {values[outside][0]:g} "
            f"({int(outside.sum())} of {len(values)} points are outside)."
        )
    return np.clip(values, low, high)
