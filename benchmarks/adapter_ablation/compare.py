"""Two methods compared on a set of problems, and on one problem over many seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

from conflictopt.lab.study_report.statistics.pairing import log_ratios, mean
from conflictopt.lab.study_report.statistics.ratios import ratio_of
from conflictopt.lab.study_report.statistics.signed_rank import holm, signed_rank
from conflictopt.lab.study_report.study import Study

RNG_SEED = 20261128
_LEVEL = 0.95


class Compared(NamedTuple):
    """The error of one method over that of another.

    Attributes:
        ratio, low, high: geometric mean (over seeds, then over problems) and its 95 % interval.
        worst: largest ratio of a problem.
        lower, pairs: pairs of runs in which the method has the lower error, of how many.
        p: two-sided signed-rank test over problems (over seeds for one problem), if possible.
    """

    ratio: float
    low: float
    high: float
    worst: float
    lower: int
    pairs: int
    p: float | None


def over_problems(
    study: Study, method: str, against: str, problems: Sequence[str]
) -> Compared | None:
    """The ratio over problems, its interval from a bootstrap of problems and seeds in them."""
    found = log_ratios(study, method, against)
    logs = [found[p] for p in problems if p in found]
    made = ratio_of(logs, RNG_SEED)
    if made is None:
        return None
    low, high = (made.interval.low, made.interval.high) if made.interval else (math.nan, math.nan)
    worst = max(math.exp(mean(values)) for values in logs)
    lower = sum(v < 0 for values in logs for v in values)
    p = signed_rank([mean(values) for values in logs])
    return Compared(made.value, low, high, worst, lower, made.pairs, p)


def over_seeds(study: Study, method: str, against: str, problem: str) -> Compared | None:
    """The ratio on one problem, its interval from Student's t over the seeds' log ratios."""
    logs = log_ratios(study, method, against).get(problem)
    if logs is None or len(logs) < 2:
        return None
    low, high = stats.ttest_1samp(logs, 0).confidence_interval(_LEVEL)
    ratio = math.exp(mean(logs))
    lower = sum(v < 0 for v in logs)
    p = signed_rank(logs)
    return Compared(ratio, math.exp(low), math.exp(high), ratio, lower, len(logs), p)


def corrected(rows: Sequence[Compared | None]) -> list[float | None]:
    """The p values of several comparisons, corrected for their number (Holm 1979)."""
    return holm([row.p if row else None for row in rows])
