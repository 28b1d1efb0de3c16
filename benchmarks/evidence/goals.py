"""The aims for ``auto``, and how far it is from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from conflictopt.lab.study_report.statistics.pairing import (
    counted_error,
    geometric_mean,
    problem_ratios,
)
from conflictopt.lab.study_report.statistics.ratios import Ratio, method_ratio
from conflictopt.lab.study_report.statistics.regret import CLOSE, WORSE
from conflictopt.lab.study_report.statistics.shared import best_fixed, shared_of
from conflictopt.lab.study_report.study import Study

from .grid import BASELINE

RNG_SEED = 20261128
LARGEST_RATIO = 0.33
"""Aim: the error of ``auto`` over that of plain training."""
UNLEARNED = 0.5
"""The relative error from which on plain training has not learned a problem."""
SMALLEST_SHARE = 0.8
"""Aim: the share of problems on which ``auto`` is within ``CLOSE`` of the best method."""


@dataclass(frozen=True)
class Share:
    """A count of problems among all, with Wilson's 95 % interval of the share."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, the problems taken as a sample."""
        found = stats.binomtest(self.count, self.total).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Standing:
    """How a method stands by the measures of the aims.

    Attributes:
        to_plain: its error over plain training's.
        close: problems within ``CLOSE`` of the lowest error of any fixed method.
        worse: problems above ``WORSE`` times plain training, by geometric mean over seeds.
    """

    method: str
    to_plain: Ratio | None
    close: Share
    worse: tuple[str, ...]


def standing(study: Study, method: str) -> Standing:
    """The measures of one method, on the problems that all methods have in common."""
    shared = shared_of(study)
    near = sum(
        shared.errors[p, method] <= CLOSE * shared.best(p, study.fixed) for p in shared.problems
    )
    ratios = problem_ratios(study, method, BASELINE)
    worse = sorted((r, p) for p, r in ratios.items() if r > WORSE)
    return Standing(
        method,
        method_ratio(study, method, BASELINE, None, RNG_SEED).ratio,
        Share(near, len(shared.problems)),
        tuple(p for _, p in reversed(worse)),
    )


def learned(study: Study) -> set[str]:
    """The problems that plain training gets somewhere with, in the runs of a study."""
    shared = shared_of(study)
    return {p for p in shared.problems if shared.errors[p, BASELINE] < UNLEARNED}


def average(study: Study, method: str) -> float:
    """The error of a method over that of plain training, geometric mean over problems."""
    return geometric_mean(list(problem_ratios(study, method, BASELINE).values()))


def best_single(study: Study) -> str:
    """The fixed method with the lowest geometric mean of errors over the problems of a study."""
    found = best_fixed(study, shared_of(study))
    if found is None:
        raise SystemExit("expected records of every method for at least one problem.")
    return found


def against(study: Study, method: str, other: str) -> Ratio | None:
    """The error of one method over that of another."""
    return method_ratio(study, method, other, None, RNG_SEED).ratio


def hindsight(study: Study) -> float:
    """The ratio to plain of the best fixed method per problem, chosen and judged on all seeds.

    Too good: it picks up the noise that it is judged with.
    """
    shared = shared_of(study)
    return geometric_mean(
        [shared.best(p, study.fixed) / shared.errors[p, BASELINE] for p in shared.problems]
    )


def foresight(study: Study) -> tuple[float, Share] | None:
    """What knowing the best fixed method per problem would be worth, without that bias.

    For each problem and seed, the method with the lowest error on the *other* seeds is taken.

    Returns:
        Its ratio to plain, and on how many problems its errors come within ``CLOSE`` of the lowest
        of any method over all seeds: what noise leaves even to one who knows. ``None`` unless
        every problem has two seeds at least.
    """
    shared = shared_of(study)
    ratios, near = [], 0
    for problem in shared.problems:
        errors = {
            m: {r.seed: counted_error(study, r) for r in study.of(problem, m)} for m in study.fixed
        }
        seeds = sorted(set.intersection(*(set(e) for e in errors.values())))
        if len(seeds) < 2:
            return None
        chosen = [errors[_best_without(errors, seeds, s)][s] for s in seeds]
        mean = geometric_mean(chosen)
        ratios.append(mean / geometric_mean([errors[BASELINE][s] for s in seeds]))
        near += mean <= CLOSE * shared.best(problem, study.fixed)
    return geometric_mean(ratios), Share(near, len(ratios))


def _best_without(errors: dict[str, dict[int, float]], seeds: Sequence[int], left: int) -> str:
    others = [s for s in seeds if s != left]
    return min(errors, key=lambda m: geometric_mean([errors[m][s] for s in others]))
