"""Errors at equal steps beside errors at equal CPU time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..run import Run
from ..study import Study
from .pairing import counted_error, geometric_mean, paired
from .ratios import Ratio, ratio_of


@dataclass(frozen=True)
class TimeComparison:
    """One method against the baseline on the same pairs, by steps and by time.

    Attributes:
        step_time: CPU time per step relative to the baseline's, geometric mean over problems of
            that over seeds, among pairs of finished runs; ``None`` without any.
        at_steps, at_time: ratio of errors at the last step, and at the CPU time at which the
            baseline's run ended; ``None`` without a pair.
        left_out: pairs without a finished baseline run, a time, or a curve to read.
        machines: pairs whose two runs are from different machines.
    """

    method: str
    step_time: float | None
    at_steps: Ratio | None
    at_time: Ratio | None
    left_out: int
    machines: int


def error_at(run: Run, time_s: float) -> float | None:
    """The error of a finished run when it had used this much CPU time.

    Its final error if it ended by then; else from its curve, log-linear in the error between the
    points around it that have one.

    Returns:
        The error; ``None`` for a run without a final error, or where the curve has no point.
    """
    if run.error is None or run.cpu_time_s is None:
        return None
    if run.cpu_time_s <= time_s:
        return run.error
    curve = run.curve
    usable = np.isfinite(curve.errors) & np.isfinite(curve.times)
    if not usable.any():
        return None
    logs = np.log(curve.errors[usable])
    return math.exp(float(np.interp(time_s, curve.times[usable], logs)))


def timings(study: Study, rng_seed: int) -> tuple[TimeComparison, ...]:
    """Every method against the baseline."""
    if not study.has_baseline:
        return ()
    return tuple(_compare(study, method, rng_seed) for method in study.others)


def _compare(study: Study, method: str, rng_seed: int) -> TimeComparison:
    steps: list[list[float]] = []
    times: list[list[float]] = []
    speeds: list[float] = []
    left_out = machines = 0
    for problem in study.problems:
        pairs = paired(study, problem, method, study.baseline)
        found = [(a, b, early) for a, b in pairs if (early := _early(study, a, b)) is not None]
        left_out += len(pairs) - len(found)
        machines += sum(a.record.get("machine") != b.record.get("machine") for a, b, _ in found)
        if found:
            steps.append([math.log(counted_error(study, a) / (b.error or 1)) for a, b, _ in found])
            times.append([math.log(early / (b.error or 1)) for _, b, early in found])
        if ratios := [r for a, b in pairs if (r := _step_time(a, b)) is not None]:
            speeds.append(geometric_mean(ratios))
    return TimeComparison(
        method,
        geometric_mean(speeds) if speeds else None,
        ratio_of(steps, rng_seed),
        ratio_of(times, rng_seed),
        left_out,
        machines,
    )


def _early(study: Study, run: Run, base: Run) -> float | None:
    """The run's error when the baseline ended; as counted if the run failed.

    Where the plain run's time was measured beside the run, that is when it ended.
    """
    if base.error is None or base.cpu_time_s is None:
        return None
    beside = run.plain_run_s if base.method == "none" else None
    end = base.cpu_time_s if beside is None else beside
    return error_at(run, end) if run.finished else counted_error(study, run)


def _step_time(run: Run, base: Run) -> float | None:
    values = [
        r.cpu_time_s / r.steps for r in (run, base) if r.finished and r.cpu_time_s and r.steps
    ]
    return values[0] / values[1] if len(values) == 2 else None
