"""The method of each situation: the overall default, unless leaving problems out says otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...selection.rule import SITUATIONS
from ..study_report.statistics.bootstrap import ENOUGH_PROBLEMS, Interval
from .cells import best, cells
from .evidence import Evidence
from .student import student_interval

LEVEL = 0.95
"""Of all decisions on situations together."""


@dataclass(frozen=True)
class SituationChoice:
    """What a situation gets.

    Attributes:
        method: index of the candidate.
        best: the candidate with the lowest mean there, chosen or not.
        problems: with a run in the situation.
        gain: geometric-mean ratio of the errors of ``best``, chosen without the problem at hand, to
            those of the default, chosen likewise; ``None`` where that was not asked.
        interval: of the gain.
        level: of the interval.
    """

    method: int
    best: int
    problems: int
    gain: float | None = None
    interval: Interval | None = None
    level: float | None = None


@dataclass(frozen=True, eq=False)
class Situation:
    """The runs in one situation.

    Attributes:
        name: of the situation.
        means: ``[M, P]`` mean log ratio per candidate and problem, NaN for problems without a run.
        runs: per problem the indices of its runs there.
    """

    name: str
    means: NDArray[np.float64]
    runs: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, evidence: Evidence, where: Sequence[str], name: str) -> Situation:
        """The runs whose situation has this name."""
        here = np.array([s == name for s in where])
        runs = tuple(
            evidence.runs(p)[here[evidence.runs(p)]] for p in range(len(evidence.problems))
        )
        return cls(name, cells(evidence, where, name), runs)

    def among(self, problems: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some problems that have a run here."""
        return problems[[len(self.runs[p]) > 0 for p in problems]]


def default_of(evidence: Evidence, problems: NDArray[np.int64]) -> int:
    """What is always done: the best single candidate if it is shown to help, else plain training.

    Its mean log error relative to plain training, over at least 5 problems, must be below 0 with
    its whole ``student_interval`` of level ``1 - (1 - LEVEL) / n``, n the candidates beside plain
    training (Bonferroni).
    """
    found = best(evidence.means, evidence.broken, problems)
    if found == 0 or len(problems) < ENOUGH_PROBLEMS:
        return 0
    level = 1 - (1 - LEVEL) / (len(evidence.labels) - 1)
    return found if student_interval(evidence.means[found, problems], level).high < 0 else 0


def fit(
    evidence: Evidence, parts: Mapping[str, Situation], problems: NDArray[np.int64]
) -> dict[str, SituationChoice]:
    """A choice for every situation, seeing only some problems.

    Every problem with a run in the situation counts once, with the mean over its runs there. The
    best candidate there (see ``best``) takes the place of the default if that lowers errors on
    problems that had no say: each problem in turn is left out, the best candidate of the situation
    and the default are determined by the others, and the difference of their mean log errors on
    the one left out is taken. The mean of these differences must be below 0 with its whole
    ``student_interval``. Its level is ``1 - (1 - LEVEL) / n`` (Bonferroni) for n the number of
    candidates beside the default times that of situations with at least 5 problems; in others
    nothing departs from the default. "Nothing" is a candidate like any other.

    Args:
        parts: per name of a situation its runs.
        problems: indices of those that are seen.
    """
    enough = sum(len(part.among(problems)) >= ENOUGH_PROBLEMS for part in parts.values())
    tests = max(1, enough * (len(evidence.labels) - 1))
    level = 1 - (1 - LEVEL) / tests
    return {name: _choose(evidence, part, problems, level) for name, part in parts.items()}


def _choose(
    evidence: Evidence, situation: Situation, problems: NDArray[np.int64], level: float
) -> SituationChoice:
    here = situation.among(problems)
    default = default_of(evidence, problems)
    if len(here) == 0:
        return SituationChoice(default, default, 0)
    found = best(situation.means, evidence.broken, here)
    if found == default or len(here) < ENOUGH_PROBLEMS:
        return SituationChoice(default, found, len(here))
    differences = []
    for p in here:
        others = best(situation.means, evidence.broken, here[here != p])
        usual = default_of(evidence, problems[problems != p])
        differences.append(situation.means[others, p] - situation.means[usual, p])
    logs = student_interval(np.array(differences), level)
    passed = logs.high < 0
    gain, interval = float(np.exp(np.mean(differences))), _exp(logs)
    return SituationChoice(found if passed else default, found, len(here), gain, interval, level)


def _exp(logs: Interval) -> Interval:
    return Interval(math.exp(logs.low), math.exp(logs.high))


def divided(evidence: Evidence, where: Sequence[str]) -> dict[str, Situation]:
    """All situations that a rule has plans for, by name, from the situation of each run."""
    return {name: Situation.of(evidence, where, name) for name in SITUATIONS}
