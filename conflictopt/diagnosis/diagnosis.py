"""The regime rule: persistent conflict, magnitude imbalance, or benign, with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from ..core.errors import MethodError
from .alignment import Agreement, agreement
from .checks import Check, at_least, at_most
from .layers import BlockStatistics, block_statistics
from .loss_statistics import LossStatistics, loss_statistics, mean_norm_ratio
from .pair_statistics import PairStatistics, is_persistent, pair_statistics
from .profile import Profile
from .thresholds import Thresholds
from .uncertainty import Uncertainty, confidence, interval, margin, ratio_interval, uncertainty

if TYPE_CHECKING:
    from ..report.content import Findings
    from ..selection.plan import Plan

__all__ = ["Check", "Diagnosis", "Regime", "Thresholds", "diagnose", "name_regime"]

Regime = Literal["persistent", "magnitude", "benign"]


@dataclass(frozen=True)
class Diagnosis:
    """A regime with the numbers and thresholds that decided it.

    Attributes:
        regime: ``persistent``, ``magnitude`` or ``benign``.
        checks: the comparisons made, in order; the first regime whose checks all hold wins.
        pairs, losses: the statistics behind them.
        norm_ratio: geometric mean of the largest over the smallest gradient norm.
        agreement: how far all gradients agree.
        blocks: the statistics of each layer, where the profile has them.
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
        nearest = _nearest_to_persistent(self.pairs, self.thresholds)
        return None if nearest is None else self.pairs[nearest]

    @property
    def transient_pairs(self) -> tuple[PairStatistics, ...]:
        """The pairs that conflicted early and no longer do."""
        return tuple(p for p in self.pairs if p.transient)

    def to_json(self) -> dict[str, Any]:
        """Everything but the profile as plain data."""
        made = {name: value for name, value in asdict(self).items() if name != "profile"}
        return {**made, "too_short": self.too_short, "too_close": self.too_close}

    def text(self, plan: Plan | None = None) -> str:
        """The report for a terminal of 100 columns: verdict, what to do, how sure, the numbers.

        Args:
            plan: to explain; that of ``select`` without.
        """
        from ..report.terminal import plain_text

        return plain_text(self._findings(plan))

    def to_html(self, path: str | Path | None = None, plan: Plan | None = None) -> str:
        """The report as one page that needs nothing else, figures included.

        Args:
            path: where to write it too.
            plan: to explain; that of ``select`` without.
        """
        from ..report.html.page import page

        made = page(self._findings(plan))
        if path is not None:
            Path(path).write_text(made, encoding="utf-8")
        return made

    def plot(self, path: str | Path) -> Path:
        """Draw the profile and write it as an image, in the format of the suffix."""
        from ..report.figures.figure import save_figure

        return save_figure(self, path)

    def _findings(self, plan: Plan | None) -> Findings:
        from ..report.content import Findings
        from ..selection.select import select

        return Findings(self, select(self) if plan is None else plan)


def name_regime(pairs: tuple[PairStatistics, ...], norm_ratio: float, t: Thresholds) -> Regime:
    """The rule of ``diagnose`` on numbers that are known already."""
    if any(is_persistent(p.conflict_late, p.cosine_late, t) for p in pairs):
        return "persistent"
    return "magnitude" if norm_ratio >= t.magnitude_ratio else "benign"


class Recorded(Protocol):
    """A run that is recorded, such as a ``MultiLossOptimizer`` with a ``Recorder`` or ``auto``."""

    @property
    def profile(self) -> Profile | None:
        """Its samples so far; ``None`` before the first."""


def diagnose(source: Profile | Recorded, thresholds: Thresholds | None = None) -> Diagnosis:
    """Name the regime of a profile.

    *Persistent* when some pair conflicts in at least ``persistent_fraction`` of the samples of
    the last half and its mean cosine there is at most ``persistent_cosine``; else *magnitude*
    when the geometric mean of the largest over the smallest gradient norm is at least
    ``magnitude_ratio``; else *benign*. The regimes are those of Kim and N'guessan 2026
    (arXiv 2605.10136); the rule and its thresholds are ours, since the paper's are not available.

    Args:
        source: samples of the unmodified run, or the optimizer of a run that is recorded.
        thresholds: other thresholds than the default ones.

    Raises:
        MethodError: an optimizer whose run is not recorded, or has taken no step.
    """
    profile = source if isinstance(source, Profile) else source.profile
    if profile is None:
        raise MethodError(
            "expected a run with at least one recorded step, found none: train first."
        )
    t = thresholds or Thresholds()
    pairs, ratio = pair_statistics(profile, t), mean_norm_ratio(profile)
    nearest = _nearest_to_persistent(pairs, t)
    found = uncertainty(profile, t)
    regime = name_regime(pairs, ratio, t)
    late = np.array([(p.conflict_late, p.cosine_late) for p in pairs]).reshape(-1, 2)
    shares = {} if found is None else {r: confidence(found, r, t) for r in get_args(Regime)}
    return Diagnosis(
        regime=regime,
        checks=_checks(pairs, nearest, ratio, found, t),
        pairs=pairs,
        losses=loss_statistics(profile),
        norm_ratio=ratio,
        agreement=agreement(profile),
        blocks=block_statistics(profile, t),
        confidence=shares.get(regime, 0.0),
        odds=shares,
        margin=0.0 if found is None else margin(found, late[:, 0], late[:, 1], ratio, t),
        samples=len(profile.steps),
        steps=(int(profile.steps[0]), int(profile.steps[-1])),
        profile=profile,
        thresholds=t,
    )


def _checks(
    pairs: tuple[PairStatistics, ...],
    nearest: int | None,
    ratio: float,
    found: Uncertainty | None,
    t: Thresholds,
) -> tuple[Check, ...]:
    """Two of the pair nearest to persistent, if there is one, and one of the norm ratio."""
    span = (ratio, ratio) if found is None else ratio_interval(found)
    last = at_least("gradient-norm ratio, geometric mean", ratio, t.magnitude_ratio, span)
    if nearest is None:
        return (last,)
    pair = pairs[nearest]
    fraction, cosine = (pair.conflict_late,) * 2, (pair.cosine_late,) * 2
    if found is not None:
        fraction = interval(found.fractions.means[:, nearest], 0.0, 1.0)
        cosine = interval(found.cosines.means[:, nearest], -1.0, 1.0)
    name = f"{pair.first} / {pair.second}"
    what = f"{name} conflicting fraction, last half", f"{name} mean cosine, last half"
    return (
        at_least(what[0], pair.conflict_late, t.persistent_fraction, fraction),
        at_most(what[1], pair.cosine_late, t.persistent_cosine, cosine),
        last,
    )


def _nearest_to_persistent(pairs: tuple[PairStatistics, ...], t: Thresholds) -> int | None:
    """Number of the pair: persistent ones first, then by mean cosine."""

    def rank(i: int) -> tuple[bool, float]:
        pair = pairs[i]
        return not is_persistent(pair.conflict_late, pair.cosine_late, t), pair.cosine_late

    return min(range(len(pairs)), key=rank, default=None)
