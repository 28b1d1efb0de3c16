"""What a diagnosis found, as numbers: a regime, and all that it was decided by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .alignment import Agreement
from .checks import Check
from .layers import BlockStatistics
from .loss_statistics import LossStatistics
from .pair_statistics import PairStatistics, is_persistent
from .profile import Profile
from .thresholds import Thresholds
from .update_conflict import ConflictRates

Regime = Literal["persistent", "magnitude", "benign"]


@dataclass(frozen=True)
class DiagnosisNumbers:
    """A regime with the numbers and thresholds that decided it.

    Attributes:
        regime: ``persistent``, ``magnitude`` or ``benign``.
        checks: the comparisons made, in order; the first regime whose checks all hold wins.
        pairs, losses: the statistics behind them.
        norm_ratio: geometric mean of the largest over the smallest gradient norm.
        agreement: how far all gradients agree.
        blocks: the statistics of each layer, where the profile has them.
        conflicts: how often losses conflict: among gradients, in the sum, in the update.
        confidence: share of block-bootstrap resamples that come to the same regime; 0 of fewer than
            three samples, which cannot be resampled.
        odds: share of those resamples that come to each regime; empty of fewer than three samples.
        margin: distance to the nearest other regime in standard errors, see
            ``conflictopt.diagnosis.uncertainty.margin``; 0 of fewer than three samples.
        samples: T.
        steps: first and last step sampled.
        profile: the samples themselves; not a part of ``to_json``.
        thresholds: what the numbers were held against.
    """

    regime: Regime
    checks: tuple[Check, ...]
    pairs: tuple[PairStatistics, ...]
    losses: tuple[LossStatistics, ...]
    norm_ratio: float
    agreement: Agreement
    blocks: tuple[BlockStatistics, ...]
    conflicts: ConflictRates
    confidence: float
    odds: Mapping[str, float]
    margin: float
    samples: int
    steps: tuple[int, int]
    profile: Profile = field(repr=False, compare=False)
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def too_short(self) -> bool:
        """Whether the profile has too few samples to rely on."""
        return self.samples < self.thresholds.enough_samples

    @property
    def too_close(self) -> bool:
        """Whether another regime is too likely: the confidence is not enough."""
        return self.confidence < self.thresholds.enough_confidence

    @property
    def situation(self) -> str | None:
        """The entry of a rule that this leads to; ``None`` where no rule is asked: nothing is done.

        That is so of one loss, and of a profile that is too short.
        """
        if self.too_short or not self.pairs:
            return None
        return "too_close" if self.too_close else self.regime

    @property
    def worst_pair(self) -> PairStatistics | None:
        """The pair nearest to persistent conflict: persistent ones first, then by mean cosine."""
        nearest = nearest_to_persistent(self.pairs, self.thresholds)
        return None if nearest is None else self.pairs[nearest]

    @property
    def transient_pairs(self) -> tuple[PairStatistics, ...]:
        """The pairs that conflicted early and no longer do."""
        return tuple(p for p in self.pairs if p.transient)

    def to_json(self) -> dict[str, Any]:
        """Everything but the profile as plain data."""
        made = {name: value for name, value in asdict(self).items() if name != "profile"}
        return {**made, "too_short": self.too_short, "too_close": self.too_close}


def nearest_to_persistent(pairs: tuple[PairStatistics, ...], t: Thresholds) -> int | None:
    """Number of the pair: persistent ones first, then by mean cosine."""

    def rank(i: int) -> tuple[bool, float]:
        pair = pairs[i]
        return not is_persistent(pair.conflict_late, pair.cosine_late, t), pair.cosine_late

    return min(range(len(pairs)), key=rank, default=None)
