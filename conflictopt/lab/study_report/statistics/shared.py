"""The problems on which all methods can be compared with each other."""

from __future__ import annotations

from dataclasses import dataclass

from ..study import Study
from .pairing import counted_error, geometric_mean


@dataclass(frozen=True, eq=False)
class Shared:
    """Errors on the problems for which all methods have a seed in common.

    Attributes:
        problems: those problems.
        errors: counted error per (problem, method), geometric mean over the common seeds.
        failed: (problem, method) with a run among them that failed or diverged.
        missing: per method, the number of problems that it has no run of.
    """

    problems: tuple[str, ...]
    errors: dict[tuple[str, str], float]
    failed: frozenset[tuple[str, str]]
    missing: dict[str, int]

    def best(self, problem: str, methods: tuple[str, ...]) -> float:
        """The lowest error of some methods on a problem."""
        return min(self.errors[problem, m] for m in methods)


def shared_of(study: Study) -> Shared:
    """Collect what all methods have run."""
    errors: dict[tuple[str, str], float] = {}
    failed: set[tuple[str, str]] = set()
    problems = []
    for problem in study.problems:
        common = set(study.seeds)
        for method in study.methods:
            common &= {run.seed for run in study.of(problem, method)}
        if not common:
            continue
        problems.append(problem)
        for method in study.methods:
            runs = [r for r in study.of(problem, method) if r.seed in common]
            errors[problem, method] = geometric_mean([counted_error(study, r) for r in runs])
            if not all(r.finished for r in runs):
                failed.add((problem, method))
    missing = {m: sum(not study.of(p, m) for p in study.problems) for m in study.methods}
    return Shared(tuple(problems), errors, frozenset(failed), missing)


def best_fixed(study: Study, shared: Shared) -> str | None:
    """The fixed method with the lowest geometric mean error over the shared problems.

    Returns:
        Its label (the first in order among equals); ``None`` without a shared problem or without
        a fixed method.
    """
    if not shared.problems or not study.fixed:
        return None
    return min(
        study.fixed, key=lambda m: geometric_mean([shared.errors[p, m] for p in shared.problems])
    )
