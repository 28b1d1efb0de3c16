"""Problems on which a method does worse than the baseline."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..label import is_auto
from ..study import Study
from .pairing import problem_ratios
from .regimes import ProblemRegime
from .regret import WORSE


@dataclass(frozen=True)
class AutoChoice:
    """What ``auto`` chose on a problem, and what that gives from the start.

    Attributes:
        chosen: label of the choice.
        seeds: seeds with this choice.
        fixed: ratio to the baseline of that method as a fixed one; ``None`` where it was not run.
    """

    chosen: str
    seeds: int
    fixed: float | None


@dataclass(frozen=True)
class Worse:
    """A problem on which a method is more than ``WORSE`` times the baseline.

    Attributes:
        ratio: to the baseline, geometric mean over seeds, failed runs as counted.
        failed: its runs that failed or diverged.
        regime: of the problem, by the baseline's runs.
        choices: of ``auto``, the most frequent first; empty for fixed methods.
    """

    method: str
    problem: str
    ratio: float
    failed: int
    regime: ProblemRegime
    choices: tuple[AutoChoice, ...]


def worse_of(study: Study, regimes: tuple[ProblemRegime, ...]) -> tuple[Worse, ...]:
    """All such problems, method by method, the worst first."""
    if not study.has_baseline:
        return ()
    by_problem = {r.problem: r for r in regimes}
    ratios = {m: problem_ratios(study, m, study.baseline) for m in study.methods}
    found = [
        Worse(
            method,
            problem,
            ratio,
            sum(not r.finished for r in study.of(problem, method)),
            by_problem[problem],
            _choices(study, problem, method, ratios) if is_auto(method) else (),
        )
        for method in study.others
        for problem, ratio in ratios[method].items()
        if ratio > WORSE
    ]
    return tuple(sorted(found, key=lambda w: (study.methods.index(w.method), -w.ratio, w.problem)))


def _choices(
    study: Study, problem: str, method: str, ratios: dict[str, dict[str, float]]
) -> tuple[AutoChoice, ...]:
    counts = Counter(r.choice for r in study.of(problem, method) if r.choice is not None)
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(AutoChoice(c, n, ratios.get(c, {}).get(problem)) for c, n in order)
