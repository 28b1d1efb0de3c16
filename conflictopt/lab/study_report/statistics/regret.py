"""How far each choice is from the best fixed method of each problem."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..study import Study
from .pairing import geometric_mean, problem_ratios
from .shared import Shared

CLOSE = 1.25
"""A choice this near to the best fixed method counts as near."""
WORSE = 1.1
"""A method above this ratio to the baseline counts as worse than it."""


@dataclass(frozen=True)
class Regret:
    """Error of a choice over the lowest error of a fixed method, over problems.

    Attributes:
        factors: per shared problem.
        average, median: geometric mean and median of the factors.
        worst: the largest factor, and the problem.
        close: share of problems within ``CLOSE``.
        worse: share of problems, among the shared ones with a baseline run of the same seed,
            on which the ratio to the baseline is above ``WORSE``; ``None`` without any.
    """

    method: str
    factors: dict[str, float]
    average: float
    median: float
    worst: tuple[float, str]
    close: float
    worse: float | None


def regret_of(factors: dict[str, float], method: str, to_baseline: Sequence[float]) -> Regret:
    """Summarise factors per problem, and ratios to the baseline."""
    values = list(factors.values())
    worst = max(factors, key=lambda p: factors[p])
    worse = sum(r > WORSE for r in to_baseline) / len(to_baseline) if to_baseline else None
    return Regret(
        method,
        factors,
        geometric_mean(values),
        statistics.median(values),
        (factors[worst], worst),
        sum(v <= CLOSE for v in values) / len(values),
        worse,
    )


def regrets(study: Study, shared: Shared) -> tuple[Regret, ...]:
    """The regret of every method, the lowest average first; empty without a fixed method."""
    if not shared.problems or not study.fixed:
        return ()
    found = []
    for method in study.methods:
        factors = {
            p: shared.errors[p, method] / shared.best(p, study.fixed) for p in shared.problems
        }
        ratios = problem_ratios(study, method, study.baseline)
        found.append(
            regret_of(factors, method, [ratios[p] for p in shared.problems if p in ratios])
        )
    return tuple(sorted(found, key=lambda r: r.average))
