"""The regime rule: persistent conflict, magnitude imbalance, or benign, with its reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..core.errors import MethodError
from .profile import Profile
from .statistics import (
    LossStatistics,
    PairStatistics,
    loss_statistics,
    mean_norm_ratio,
    pair_statistics,
)

Regime = Literal["persistent", "magnitude", "benign"]


@dataclass(frozen=True)
class Thresholds:
    """Where the regimes begin. Starting values, not yet calibrated on a suite.

    Attributes:
        conflict_below: a sample conflicts when its cosine is below this.
        persistent_fraction: conflicting fraction of the last half from which a pair may count as
            persistent ...
        persistent_cosine: ... if its mean cosine there is at most this.
        magnitude_ratio: geometric-mean norm ratio from which magnitudes are imbalanced.
        enough_samples: a profile with fewer samples is called too short.

    Raises:
        MethodError: a value out of its range.
    """

    conflict_below: float = -0.05
    persistent_fraction: float = 0.6
    persistent_cosine: float = -0.1
    magnitude_ratio: float = 10.0
    enough_samples: int = 50

    def __post_init__(self) -> None:
        ok = (
            -1 <= self.conflict_below <= 0
            and 0 < self.persistent_fraction <= 1
            and -1 <= self.persistent_cosine <= 0
            and self.magnitude_ratio >= 1
            and self.enough_samples >= 1
        )
        if not ok:
            raise MethodError(
                "expected cosines in [-1, 0], a fraction in (0, 1], a ratio >= 1 and at least one "
                f"sample, found {self}."
            )


@dataclass(frozen=True)
class Check:
    """One number held against one threshold.

    Attributes:
        what: what was measured, in words.
        value, threshold: the number and its threshold.
        relation: ``">="`` or ``"<="``, the side on which the check holds.
        holds: whether it does.
    """

    what: str
    value: float
    relation: Literal[">=", "<="]
    threshold: float
    holds: bool

    def __str__(self) -> str:
        mark = "yes" if self.holds else "no"
        return f"{self.what}: {self.value:.3g} {self.relation} {self.threshold:g}? {mark}"


@dataclass(frozen=True)
class Diagnosis:
    """A regime with the numbers and thresholds that decided it.

    Attributes:
        regime: ``persistent``, ``magnitude`` or ``benign``.
        checks: the comparisons made, in order; the first regime whose checks all hold wins.
        pairs, losses: the statistics behind them.
        norm_ratio: geometric mean of the largest over the smallest gradient norm.
        samples: T.
        steps: first and last step sampled.
        thresholds: what the numbers were held against.
    """

    regime: Regime
    checks: tuple[Check, ...]
    pairs: tuple[PairStatistics, ...]
    losses: tuple[LossStatistics, ...]
    norm_ratio: float
    samples: int
    steps: tuple[int, int]
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def too_short(self) -> bool:
        """Whether the profile has too few samples to rely on."""
        return self.samples < self.thresholds.enough_samples

    @property
    def worst_pair(self) -> PairStatistics | None:
        """The pair nearest to persistent conflict: persistent ones first, then by mean cosine."""
        return _nearest_to_persistent(self.pairs, self.thresholds)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {**asdict(self), "too_short": self.too_short}


def diagnose(profile: Profile, thresholds: Thresholds | None = None) -> Diagnosis:
    """Name the regime of a profile.

    *Persistent* when some pair conflicts in at least ``persistent_fraction`` of the samples of
    the last half and its mean cosine there is at most ``persistent_cosine``; else *magnitude*
    when the geometric mean of the largest over the smallest gradient norm is at least
    ``magnitude_ratio``; else *benign*. The regimes are those of Kim and N'guessan 2026
    (arXiv 2605.10136); the rule and its thresholds are ours, since the paper's are not available.

    Args:
        profile: samples of the unmodified run.
        thresholds: other thresholds than the default ones.
    """
    t = thresholds or Thresholds()
    pairs = pair_statistics(profile, t.conflict_below)
    ratio = mean_norm_ratio(profile)
    checks: list[Check] = []
    regime: Regime = "benign"
    nearest = _nearest_to_persistent(pairs, t)
    if nearest is not None:
        name = f"{nearest.first} / {nearest.second}"
        checks += [
            _at_least(
                f"{name} conflicting fraction, last half",
                nearest.conflict_late,
                t.persistent_fraction,
            ),
            _at_most(f"{name} mean cosine, last half", nearest.cosine_late, t.persistent_cosine),
        ]
        if _persistent(nearest, t):
            regime = "persistent"
    checks.append(_at_least("gradient-norm ratio, geometric mean", ratio, t.magnitude_ratio))
    if regime == "benign" and checks[-1].holds:
        regime = "magnitude"
    span = (int(profile.steps[0]), int(profile.steps[-1]))
    return Diagnosis(
        regime,
        tuple(checks),
        pairs,
        loss_statistics(profile),
        ratio,
        len(profile.steps),
        span,
        t,
    )


def _persistent(pair: PairStatistics, t: Thresholds) -> bool:
    return pair.conflict_late >= t.persistent_fraction and pair.cosine_late <= t.persistent_cosine


def _nearest_to_persistent(
    pairs: tuple[PairStatistics, ...], t: Thresholds
) -> PairStatistics | None:
    return min(pairs, key=lambda p: (not _persistent(p, t), p.cosine_late), default=None)


def _at_least(what: str, value: float, threshold: float) -> Check:
    return Check(what, value, ">=", threshold, value >= threshold)


def _at_most(what: str, value: float, threshold: float) -> Check:
    return Check(what, value, "<=", threshold, value <= threshold)
