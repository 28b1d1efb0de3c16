"""How the resamples of a profile are divided among the regimes."""

from __future__ import annotations

from typing import get_args

from .regime import Diagnosis, Regime
from .uncertainty import confidence, uncertainty


def odds(diagnosis: Diagnosis) -> dict[str, float]:
    """Share of the resamples that come to each regime; together 1.

    The resamples are those of ``Diagnosis.confidence``, which is the share of the regime named.
    Empty for fewer than three samples, which cannot be resampled.
    """
    found = uncertainty(diagnosis.profile, diagnosis.thresholds)
    if found is None:
        return {}
    return {name: confidence(found, name, diagnosis.thresholds) for name in get_args(Regime)}
