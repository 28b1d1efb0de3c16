"""How often losses conflict: among gradients, in their sum, and in what the optimizer does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .profile import Profile

LEAST = 1e-3
"""Cosine below which a conflict is rounding: parameters are often in single precision."""


@dataclass(frozen=True)
class ConflictRates:
    """Shares of the samples.

    Attributes:
        gradients: in which two gradients point against each other (R_g).
        sum: in which the plain sum of the gradients, as a step downhill, raises a loss to first
            order (R_a of plain training).
        update: in which the optimizer's update of the network does (R_u); ``None`` if it was not
            looked at.

    Source: the rates of arXiv 2609.01558.
    """

    gradients: float
    sum: float
    update: float | None


def conflict_rates(profile: Profile) -> ConflictRates:
    """Of a profile of plain training."""
    cosines = profile.cosines
    opposed = np.where(np.isnan(cosines), 0.0, cosines) < -LEAST
    along = profile.gramians.sum(axis=2)
    size = np.sqrt(np.maximum(along.sum(axis=1), 0.0))[:, None] * profile.norms
    with np.errstate(invalid="ignore", divide="ignore"):
        against = np.where(size > 0, along / size, 0.0) < -LEAST
    seen = profile.updates
    known = None if seen is None else seen[~np.isnan(seen)]
    return ConflictRates(
        float(opposed.any(axis=(1, 2)).mean()),
        float(against.any(axis=1).mean()),
        None if known is None or not len(known) else float((known > LEAST).mean()),
    )
