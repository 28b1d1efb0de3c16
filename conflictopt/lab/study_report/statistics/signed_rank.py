"""Paired Wilcoxon signed-rank tests over problems, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ..study import Study
from .pairing import log_ratios, mean

ENOUGH_DIFFERENCES = 6
"""With fewer, no outcome has a two-sided p below 0.05: no test is made."""


@dataclass(frozen=True)
class SignedRank:
    """A two-sided test of whether the log ratios are symmetric about zero.

    Attributes:
        problems: n, one log ratio (mean over seeds) each.
        lower, higher: problems on which the method has the lower, the higher error; on the
            others the errors are equal.
        p: ``None`` with fewer than ``ENOUGH_DIFFERENCES`` differences.
        p_holm: p corrected for the number of tests made.
    """

    method: str
    against: str
    problems: int
    lower: int
    higher: int
    p: float | None
    p_holm: float | None


def signed_rank(differences: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test (``scipy.stats.wilcoxon``).

    Differences of zero are left out first, as in Wilcoxon's own test: where ``auto`` does nothing
    it equals the baseline, and such a problem says nothing of the sign. Without ties p is then
    exact up to 50 differences, which Pratt's treatment of zeros would not be.

    Returns:
        p; ``None`` with fewer than ``ENOUGH_DIFFERENCES`` differences that are not zero.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    return float(stats.wilcoxon(values).pvalue) if len(values) >= ENOUGH_DIFFERENCES else None


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Step-down correction of Holm (1979) over the p values that are there."""
    made = sorted((p, i) for i, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, i) in enumerate(made):
        largest = max(largest, min(1.0, (len(made) - rank) * p))
        corrected[i] = largest
    return corrected


def signed_ranks(study: Study, methods: Sequence[str], against: str) -> tuple[SignedRank, ...]:
    """Test every method against one other, and correct over the methods."""
    return corrected([rank_test(study, m, against) for m in methods if m != against])


def corrected(tests: Sequence[SignedRank]) -> tuple[SignedRank, ...]:
    """The tests with ``p_holm`` over all of them."""
    values = holm([t.p for t in tests])
    return tuple(replace(t, p_holm=p) for t, p in zip(tests, values, strict=True))


def rank_test(study: Study, method: str, against: str) -> SignedRank:
    """One method against another, not yet corrected."""
    logs = [mean(values) for values in log_ratios(study, method, against).values()]
    lower, higher = sum(v < 0 for v in logs), sum(v > 0 for v in logs)
    return SignedRank(method, against, len(logs), lower, higher, signed_rank(logs), None)
