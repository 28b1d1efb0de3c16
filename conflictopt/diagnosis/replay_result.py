"""What a replayed method chose, and what it would have done to the run's gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.reports import Note

Array = NDArray[np.float64]

_QUANTILES = {"low": 0.1, "median": 0.5, "high": 0.9}
_ROUNDING = 1e-9
"""A product with the update counts as negative below this share of what it is summed from."""


@dataclass(frozen=True, eq=False)
class Replay:
    """A method along the T samples of K losses; the update is ``d = sum_k c_k g_k``.

    All of it follows from the Gramian G: ``|d|^2 = c^T G c``, ``g_k . d = (G c)_k``, and the plain
    sum s has ``c = 1``. With coefficients per layer these are sums over the layers.

    Attributes:
        method: the method's label.
        names: the K loss names.
        steps: ``[T]`` of the profile.
        coefficients: ``[T, K]``; of a method that chooses them per layer, the mean over layers.
        along: ``[T, K]`` products ``g_k . d``.
        rounding: ``[T, K]`` what their rounding errors are in proportion to.
        length: ``[T]`` ``|d|``.
        length_of_sum: ``[T]`` ``|s|``.
        angle: degrees from which a direction counts as another one.
        notes: per sample what the method reported: bounds that acted, fallbacks.
    """

    method: str
    names: tuple[str, ...]
    steps: NDArray[np.int64]
    coefficients: Array
    along: Array
    rounding: Array
    length: Array
    length_of_sum: Array
    angle: float
    notes: tuple[tuple[Note, ...], ...]

    @cached_property
    def cosine_to_sum(self) -> Array:
        """``[T]`` cosine between d and s; NaN where one of them is zero."""
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = self.along.sum(axis=1) / self.length / self.length_of_sum
        both = (self.length > 0) & (self.length_of_sum > 0)
        return np.where(both, np.clip(cosine, -1.0, 1.0), np.nan)

    @property
    def length_ratio(self) -> Array:
        """``[T]`` ``|d| / |s|``; NaN where s is zero."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.length_of_sum > 0, self.length / self.length_of_sum, np.nan)

    @property
    def differs(self) -> NDArray[np.bool_]:
        """``[T]`` whether the angle between d and s is above ``angle``, or just one is zero."""
        one = (self.length > 0) != (self.length_of_sum > 0)
        found: NDArray[np.bool_] = one | (self.cosine_to_sum < math.cos(math.radians(self.angle)))
        return found

    @property
    def frequency(self) -> float:
        """Share of the samples at which the direction differs from the plain sum's."""
        return float(self.differs.mean())

    @property
    def conflicts_after(self) -> NDArray[np.bool_]:
        """``[T, K]`` whether a loss still conflicts with the update: ``g_k . d < 0``.

        Beyond rounding: below -1e-9 times ``sum_j |c_j g_k . g_j|``.
        """
        negative: NDArray[np.bool_] = self.along < -_ROUNDING * self.rounding
        return negative

    def quantile(self, q: float) -> Array:
        """``[K]`` quantile of each loss's coefficient over the samples; 0.5 is the median.

        Raises:
            ValueError: q outside [0, 1].
        """
        found: Array = np.quantile(self.coefficients, q, axis=0)
        return found

    def to_json(self) -> dict[str, Any]:
        """The summary as plain data: per loss what the method gave it and left of conflict."""
        rows = {f"coefficient_{name}": self.quantile(q).tolist() for name, q in _QUANTILES.items()}
        rows["conflicts_after"] = self.conflicts_after.mean(axis=0).tolist()
        losses = [
            {"name": n, **{k: v[i] for k, v in rows.items()}} for i, n in enumerate(self.names)
        ]
        return {
            "method": self.method,
            "samples": len(self.steps),
            "differs": self.frequency,
            "angle": self.angle,
            "cosine_to_sum": _median(self.cosine_to_sum),
            "length_ratio": _median(self.length_ratio),
            "losses": losses,
            "notes": sorted({kind for notes in self.notes for kind, _ in notes}),
        }


def _median(values: Array) -> float | None:
    """Of those that are defined."""
    defined = values[np.isfinite(values)]
    return float(np.median(defined)) if defined.size else None
