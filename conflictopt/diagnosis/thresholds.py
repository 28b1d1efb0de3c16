"""Where the regimes begin."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import MethodError
from .defaults import default_thresholds

_DEFAULT = default_thresholds()


@dataclass(frozen=True)
class Thresholds:
    """Where the regimes begin; the defaults are those of ``rule.json``, with their evidence.

    Attributes:
        conflict_below: a sample conflicts when its cosine is below this.
        persistent_fraction: conflicting fraction of the last half from which a pair may count as
            persistent ...
        persistent_cosine: ... if its mean cosine there is at most this.
        magnitude_ratio: geometric-mean norm ratio from which magnitudes are imbalanced.
        enough_samples: a profile with fewer samples is called too short.
        enough_confidence: a verdict with less confidence is called too close.

    Raises:
        MethodError: a value out of its range.
    """

    conflict_below: float = _DEFAULT["conflict_below"]
    persistent_fraction: float = _DEFAULT["persistent_fraction"]
    persistent_cosine: float = _DEFAULT["persistent_cosine"]
    magnitude_ratio: float = _DEFAULT["magnitude_ratio"]
    enough_samples: int = _DEFAULT["enough_samples"]
    enough_confidence: float = _DEFAULT["enough_confidence"]

    def __post_init__(self) -> None:
        ok = (
            -1 <= self.conflict_below <= 0
            and 0 < self.persistent_fraction <= 1
            and -1 <= self.persistent_cosine <= 0
            and self.magnitude_ratio >= 1
            and self.enough_samples >= 1
            and 0 <= self.enough_confidence <= 1
        )
        if not ok:
            raise MethodError(
                "expected cosines in [-1, 0], fractions in (0, 1], a ratio >= 1, at least one "
                f"sample and a confidence in [0, 1], found {self}."
            )
