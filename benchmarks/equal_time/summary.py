"""What the readings of a method come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from conflictopt.lab.study_report.statistics.pairing import geometric_mean

from .readings import FRACTIONS, Reading

HARM = 1.1
"""Ratio above which a method counts as having done harm on a problem."""


@dataclass(frozen=True)
class ProblemRow:
    """A method on a problem.

    Attributes:
        ratios: per part of T the geometric mean over seeds; ``None`` where no seed has one.
        endings: per seed why the run ended, or its status.
    """

    problem: str
    method: str
    ratios: dict[float, float | None]
    endings: tuple[str, ...]


@dataclass(frozen=True)
class MethodSummary:
    """A method on all problems of a group.

    Attributes:
        ratios: per part of T the geometric mean over the problems that have one.
        problems: how many have one, per part of T.
        worst: the problem with the highest ratio at the time that was asked for, and the ratio.
        harmed: problems above ``HARM`` there.
        diverged, runs: of its runs.
    """

    method: str
    ratios: dict[float, float | None]
    problems: dict[float, int]
    worst: tuple[str, float] | None
    harmed: tuple[str, ...]
    diverged: int
    runs: int


def problem_rows(found: Sequence[Reading]) -> list[ProblemRow]:
    """Every method on every problem, in the order of the readings."""
    groups: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for reading in found:
        groups[reading.run.problem, reading.run.method].append(reading)
    return [
        ProblemRow(
            problem,
            method,
            {f: _mean([m.ratios[f] for m in members]) for f in FRACTIONS},
            tuple(_ending(m) for m in members),
        )
        for (problem, method), members in groups.items()
    ]


def summarise(
    rows: Sequence[ProblemRow], method: str, problems: Collection[str], at: float
) -> MethodSummary:
    """One method on some problems.

    Args:
        rows: of all methods and problems.
        at: the part of T for the worst problem and the harmed ones.
    """
    own = [r for r in rows if r.method == method and r.problem in problems]
    there = {r.problem: value for r in own if (value := r.ratios[at]) is not None}
    worst = max(there, key=lambda p: there[p]) if there else None
    endings = [e for r in own for e in r.endings]
    return MethodSummary(
        method,
        {f: _mean([r.ratios[f] for r in own]) for f in FRACTIONS},
        {f: sum(r.ratios[f] is not None for r in own) for f in FRACTIONS},
        None if worst is None else (worst, there[worst]),
        tuple(p for p, value in there.items() if value > HARM),
        sum(e in ("diverged", "failed") for e in endings),
        len(endings),
    )


def beside_the_best(rows: Sequence[ProblemRow], method: str, at: float) -> dict[str, float]:
    """A method's ratio over the lowest of the others', on each problem that has both."""
    own = {r.problem: r.ratios[at] for r in rows if r.method == method}
    best: dict[str, float] = {}
    for row in rows:
        ratio = row.ratios[at]
        if row.method != method and ratio is not None:
            best[row.problem] = min(ratio, best.get(row.problem, ratio))
    return {p: mine / best[p] for p, mine in own.items() if mine is not None and p in best}


def losers_first(rows: Sequence[ProblemRow], method: str, at: float) -> list[str]:
    """The problems, those on which a method does worst first; without a ratio last."""
    own = {r.problem: r.ratios[at] for r in rows if r.method == method}
    every = dict.fromkeys(r.problem for r in rows)

    def key(problem: str) -> tuple[bool, float]:
        value = own.get(problem)
        return value is None, -(value or 0.0)

    return sorted(every, key=key)


def _ending(reading: Reading) -> str:
    run = reading.run
    if run.status != "ok":
        return run.status
    return str((run.record.get("timed") or {}).get("ended", "steps"))


def _mean(values: Sequence[float | None]) -> float | None:
    there = [v for v in values if v is not None]
    return geometric_mean(there) if there else None
