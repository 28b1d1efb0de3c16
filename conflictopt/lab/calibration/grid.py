"""The thresholds that a calibration tries."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from ...diagnosis.thresholds import Thresholds

VARIED = ("persistent_fraction", "persistent_cosine", "magnitude_ratio")
"""Those that divide the regimes; what counts as a conflict, as enough samples and as enough
confidence says what is seen, not where regimes begin, and is kept."""


def grid(base: Thresholds) -> tuple[Thresholds, ...]:
    """The thresholds to begin from, first, and their neighbours: 27 in all at most.

    The fraction 0.2 less and more, the cosine half and twice, the ratio a third and three times as
    much, each kept in its range.
    """
    f, c, r = (getattr(base, name) for name in VARIED)
    fractions = dict.fromkeys([f, max(0.05, round(f - 0.2, 6)), min(1.0, round(f + 0.2, 6))])
    cosines = dict.fromkeys([c, c / 2, max(-1.0, 2 * c)])
    ratios = dict.fromkeys([r, max(1.0, r / 3), 3 * r])
    found = (
        replace(base, persistent_fraction=a, persistent_cosine=b, magnitude_ratio=d)
        for a, b, d in product(fractions, cosines, ratios)
    )
    return tuple(dict.fromkeys(found))
