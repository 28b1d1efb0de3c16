"""Performance profiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..study import Study
from .shared import Shared

TAUS = (1.0, 1.25, 2.0, 5.0, 10.0)
"""Factors of the table; the figure goes to ``LARGEST_TAU``."""
LARGEST_TAU = 100.0


@dataclass(frozen=True, eq=False)
class Performance:
    """Factors of every method's error over the best method's, problem by problem.

    Attributes:
        problems: the problems, in the order of ``factors``.
        factors: per method; infinite where a run failed or diverged.
    """

    problems: tuple[str, ...]
    factors: dict[str, tuple[float, ...]]

    def share(self, method: str, tau: float) -> float:
        """Share of problems on which the method is within a factor of the best."""
        factors = self.factors[method]
        return sum(f <= tau for f in factors) / len(factors)


def performance_of(study: Study, shared: Shared) -> Performance | None:
    """Performance profile (Dolan, More, Mathematical Programming 91, 2002) with errors as costs.

    A method with a failed run on a problem is within no factor of the best there, as in the paper.

    Returns:
        The profile; ``None`` with fewer than two methods or without a shared problem.
    """
    if len(study.methods) < 2 or not shared.problems:
        return None
    factors = {
        m: tuple(_factor(study, shared, p, m) for p in shared.problems) for m in study.methods
    }
    return Performance(shared.problems, factors)


def _factor(study: Study, shared: Shared, problem: str, method: str) -> float:
    if (problem, method) in shared.failed:
        return math.inf
    solved = tuple(m for m in study.methods if (problem, m) not in shared.failed)
    return shared.errors[problem, method] / shared.best(problem, solved)
