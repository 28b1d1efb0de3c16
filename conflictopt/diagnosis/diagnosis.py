"""The regime rule: persistent conflict, magnitude imbalance, or benign, with its reasons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

import numpy as np

from ..core.errors import MethodError
from .alignment import agreement
from .checks import Check, at_least, at_most
from .layers import block_statistics
from .loss_statistics import loss_statistics, mean_norm_ratio
from .numbers import DiagnosisNumbers, Regime, nearest_to_persistent
from .pair_statistics import PairStatistics, is_persistent, pair_statistics
from .profile import Profile
from .thresholds import Thresholds
from .uncertainty import (
    DecisionResamples,
    confidence,
    interval,
    margin,
    ratio_interval,
    resample_decision,
)
from .update_conflict import conflict_rates

if TYPE_CHECKING:
    from ..selection.plan import Plan

__all__ = ["Check", "Diagnosis", "Regime", "Thresholds", "diagnose", "name_regime"]


class Diagnosis(DiagnosisNumbers):
    """A regime with the numbers and thresholds that decided it; shows itself on demand.

    Its attributes are those of ``DiagnosisNumbers``. What shows it is imported when it is asked to.
    """

    def text(self, plan: Plan | None = None) -> str:
        """The report for a terminal of 100 columns: verdict, what to do, how sure, the numbers.

        Args:
            plan: to explain; that of ``select`` without.
        """
        from ..report.of_diagnosis import text

        return text(self, plan)

    def to_html(self, path: str | Path | None = None, plan: Plan | None = None) -> str:
        """The report as one page that needs nothing else, figures included.

        Args:
            path: where to write it too.
            plan: to explain; that of ``select`` without.

        Raises:
            MissingExtraError: Jinja2 or matplotlib is not installed.
        """
        from ..report.of_diagnosis import html

        return html(self, plan, path)

    def plot(self, path: str | Path) -> Path:
        """Draw the profile and write it as an image, in the format of the suffix.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from ..report.of_diagnosis import figure

        return figure(self, path)


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
    nearest = nearest_to_persistent(pairs, t)
    found = resample_decision(profile, t)
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
        conflicts=conflict_rates(profile),
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
    found: DecisionResamples | None,
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
