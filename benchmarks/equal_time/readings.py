"""The error of a run at parts of the plain run's time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conflictopt.lab.study_report.run import Run
from conflictopt.lab.study_report.statistics.pairing import counted_error
from conflictopt.lab.study_report.study import Study

FRACTIONS = (0.25, 0.5, 1.0, 2.0, 3.0)
"""Of T, the plain run's CPU time."""
_NEAR = 0.999
"""A run that reached this part of a time reached it."""


@dataclass(frozen=True)
class Reading:
    """One run, relative to the plain run of its problem and seed.

    Attributes:
        ratios: per part of T, its error over the plain run's at its end; ``None`` where the run had
            no time left.
        clock: T as measured along with the run, over the time that the plain run's record has;
            ``None`` of a run whose budget is steps.
        drift: the largest cost of a plain step in the course of the run over the smallest;
            likewise.
    """

    run: Run
    ratios: dict[float, float | None]
    clock: float | None
    drift: float | None


def readings(study: Study) -> list[Reading]:
    """All runs whose problem and seed have a finished run of the baseline."""
    found = []
    for run in study.runs:
        base = study.cells.get((run.problem, study.baseline, run.seed))
        if base is not None and base.error is not None and base.cpu_time_s:
            found.append(_read(study, run, base.error, base.cpu_time_s))
    return found


def _read(study: Study, run: Run, error: float, seconds: float) -> Reading:
    timed = run.record.get("timed") or {}
    costs = timed.get("measured_steps_s")
    parts = run.record["curve"]["plain_runs"] if timed else run.curve.times / seconds
    values = {f: _error_at(study, run, f, np.asarray(parts)) for f in FRACTIONS}
    return Reading(
        run,
        {f: None if value is None else value / error for f, value in values.items()},
        timed["plain_run_s"] / seconds if timed else None,
        max(costs) / min(costs) if costs else None,
    )


def _error_at(study: Study, run: Run, fraction: float, parts: NDArray[np.float64]) -> float | None:
    """As ``error_at`` of the study's report, and while a run that diverged had not.

    Args:
        parts: of T, at which the run's curve was noted.
    """
    usable = np.isfinite(run.curve.errors) & np.isfinite(parts)
    times, errors = parts[usable], run.curve.errors[usable]
    if len(times) and fraction <= times[-1]:
        return math.exp(float(np.interp(fraction, times, np.log(errors))))
    if not run.finished:
        return counted_error(study, run)
    return run.error if fraction * _NEAR <= _allowed(study, run) else None


def _allowed(study: Study, run: Run) -> float:
    """The time that a run had, relative to the plain run's; infinite if it ended by itself."""
    timed = run.record.get("timed")
    if timed:
        return math.inf if timed["ended"] != "time" else float(timed["horizon"])
    base = study.cells[run.problem, study.baseline, run.seed]
    return (run.cpu_time_s or 0.0) / (base.cpu_time_s or 1.0)
