"""What a rule does on problems that had no say in it, for each setting of the thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...diagnosis.thresholds import Thresholds
from .cells import TOO_SHORT, situations
from .choosing import LEVEL, default_of, divided, fit
from .evidence import Evidence
from .student import student_interval


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting of the thresholds.

    Attributes:
        thresholds: of the setting.
        where: per run its situation.
        logs: ``[U]`` of what the rule does that was fitted, at these thresholds, without the run's
            problem.
    """

    thresholds: Thresholds
    where: tuple[str, ...]
    logs: NDArray[np.float64]


def settings(evidence: Evidence, tried: Sequence[Thresholds]) -> list[Setting]:
    """Every setting with its held-out logs; equal divisions of the runs are fitted once."""
    known: dict[tuple[str, ...], NDArray[np.float64]] = {}
    found = []
    for thresholds in tried:
        where = situations(evidence, thresholds)
        if where not in known:
            known[where] = _held_out(evidence, where)
        found.append(Setting(thresholds, where, known[where]))
    return found


def always(evidence: Evidence) -> NDArray[np.float64]:
    """``[U]`` logs of the default, chosen without the run's problem."""
    every = np.arange(len(evidence.problems))
    logs = np.zeros(len(evidence.of_problem))
    for p in range(len(every)):
        runs = evidence.runs(p)
        logs[runs] = evidence.logs[default_of(evidence, every[every != p]), runs]
    return logs


def grouped(evidence: Evidence, logs: NDArray[np.float64]) -> list[list[float]]:
    """Per problem the values of its runs."""
    return [logs[evidence.runs(p)].tolist() for p in range(len(evidence.problems))]


def by_problem(evidence: Evidence, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[P]`` means over the runs of each problem."""
    return np.array([np.mean(group) for group in grouped(evidence, logs)])


@dataclass(frozen=True, eq=False)
class Taken:
    """A choice among settings.

    Attributes:
        index: of the setting taken.
        best: of the setting with the lowest held-out mean.
        gain: mean difference of log errors that choosing makes on problems left out.
        logs: ``[U]`` what the rule does on problems that had no say in the setting either.
    """

    index: int
    best: int
    gain: float
    logs: NDArray[np.float64]


def best_setting(evidence: Evidence, found: Sequence[Setting]) -> Taken:
    """Which setting is taken, which is best, and the gain of choosing among them.

    The first setting stays, unless choosing lowers errors on problems that had no say in the
    choice: each in turn is left out, the setting with the lowest held-out mean of the others is
    taken, and compared on the one left out with the first setting. The mean difference of log
    errors must be below 0 with its whole ``student_interval``, of level ``1 - (1 - LEVEL) / n`` for
    n the number of other settings that divide the runs in another way. The settings' held-out
    values of the others come from rules that the one left out had a say in; the gain is to that
    extent too favourable.
    """
    values = np.round([by_problem(evidence, s.logs) for s in found], 12)
    best = int(np.argmin(np.round(values.mean(axis=1), 12)))
    differences, logs = [], found[0].logs.copy()
    for p in range(len(evidence.problems)):
        others = np.round(np.delete(values, p, axis=1).mean(axis=1), 12)
        chosen, runs = int(np.argmin(others)), evidence.runs(p)
        differences.append(values[chosen, p] - values[0, p])
        logs[runs] = found[chosen].logs[runs]
    tests = max(1, len({s.where for s in found}) - 1)
    interval = student_interval(np.array(differences), 1 - (1 - LEVEL) / tests)
    gain = float(np.mean(differences))
    if interval.high >= 0:
        return Taken(0, best, gain, found[0].logs)
    return Taken(best, best, gain, logs)


def _held_out(evidence: Evidence, where: tuple[str, ...]) -> NDArray[np.float64]:
    every = np.arange(len(evidence.problems))
    logs = np.zeros(len(evidence.of_problem))
    parts = divided(evidence, where)
    for p in range(len(every)):
        chosen = fit(evidence, parts, every[every != p])
        for run in evidence.runs(p):
            if where[run] != TOO_SHORT:
                logs[run] = evidence.logs[chosen[where[run]].method, run]
    return logs
