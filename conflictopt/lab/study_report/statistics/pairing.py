"""Errors as they are counted, and their ratios paired by problem and seed."""

from __future__ import annotations

import math

from ..run import Run
from ..study import Study

FAILED_ERROR = 1.0
"""Smallest error that a failed or diverged run counts with: that of the zero function."""
FAILED_FACTOR = 10.0
"""A failed or diverged run counts with at least this many times the baseline's error."""


def counted_error(study: Study, run: Run) -> float:
    """The error of a run; of one that failed or diverged, a large one.

    That is ``max(FAILED_ERROR, FAILED_FACTOR * error of the baseline)`` with the baseline's run on
    the same problem and seed, and ``FAILED_ERROR`` where that run is absent or failed too, or is
    this run.
    """
    if run.error is not None:
        return run.error
    base = study.cells.get((run.problem, study.baseline, run.seed))
    if base is None or base.error is None:
        return FAILED_ERROR
    return max(FAILED_ERROR, FAILED_FACTOR * base.error)


def log_ratios(study: Study, method: str, against: str) -> dict[str, tuple[float, ...]]:
    """Natural logarithms of counted error of ``method`` over that of ``against``.

    Returns:
        Per problem, one number for every seed that both have run; problems without such a seed
        are left out.
    """
    found = {}
    for problem in study.problems:
        pairs = paired(study, problem, method, against)
        if pairs:
            found[problem] = tuple(
                math.log(counted_error(study, a) / counted_error(study, b)) for a, b in pairs
            )
    return found


def paired(study: Study, problem: str, method: str, against: str) -> list[tuple[Run, Run]]:
    """The runs of two methods on a problem, for every seed that both have."""
    other = {run.seed: run for run in study.of(problem, against)}
    return [(run, other[run.seed]) for run in study.of(problem, method) if run.seed in other]


def problem_ratios(study: Study, method: str, against: str) -> dict[str, float]:
    """Per problem, the geometric mean over seeds of the ratio of counted errors."""
    return {p: math.exp(mean(logs)) for p, logs in log_ratios(study, method, against).items()}


def mean(values: tuple[float, ...] | list[float]) -> float:
    """Arithmetic mean, summed without rounding so that the order does not matter."""
    return math.fsum(values) / len(values)


def geometric_mean(values: tuple[float, ...] | list[float]) -> float:
    """Geometric mean of positive numbers."""
    return math.exp(mean([math.log(v) for v in values]))
