"""The problems and methods whose curves are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .. import family
from ..label import is_auto
from ..run import ErrorCurve, Run
from ..study import Study
from .pairing import geometric_mean, problem_ratios

PROBLEMS = 6
METHODS = 7
"""Shown at most; more curves cannot be told apart in a panel."""


def shown_problems(study: Study) -> tuple[str, ...]:
    """One problem of each of the ``PROBLEMS`` families with the most problems.

    The one whose lowest ratio to the baseline, over methods, is the (lower) median of its family:
    neither the best nor the worst case. Without a baseline, the first with a curve.
    """
    families = sorted(study.families, key=lambda f: (-len(study.members(f)), family.order(f)))
    shown = [_typical(study, name) for name in families[:PROBLEMS]]
    return tuple(p for p in study.problems if p in shown)


def shown_methods(study: Study, best: str | None) -> tuple[str, ...]:
    """Baseline, ``auto`` and the best fixed method, then those with the lowest mean ratio."""
    first = [m for m in study.methods if m in (study.baseline, best) or is_auto(m)]
    rest = [m for m in study.methods if m not in first]
    shown = [*first, *sorted(rest, key=lambda m: _ratio(study, m))][:METHODS]
    return tuple(m for m in study.methods if m in shown)


def median_curve(runs: Sequence[Run]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians of CPU time and error over runs, at the steps that all their curves have.

    A point needs an error of at least half the runs; runs without a curve do not count. Runs whose
    budget is time have the same times rather than the same steps: they are read at those.
    """
    curves = [r.curve for r in runs if len(r.curve.steps)]
    if not curves:
        return np.empty(0), np.empty(0)
    if any(r.plain_run_s is not None for r in runs):
        return _at_shared_times(curves)
    common = set.intersection(*(set(c.steps) for c in curves))
    rows = [np.isin(c.steps, sorted(common)) for c in curves]
    times = np.array([c.times[row] for c, row in zip(curves, rows, strict=True)])
    errors = np.array([c.errors[row] for c, row in zip(curves, rows, strict=True)])
    usable = np.isfinite(times) & np.isfinite(errors)
    enough = (usable.mean(axis=0) >= 0.5) & usable.any(axis=0)
    times, errors = (np.where(usable, a, np.nan)[:, enough] for a in (times, errors))
    return np.nanmedian(times, axis=0), np.nanmedian(errors, axis=0)


def _at_shared_times(
    curves: Sequence[ErrorCurve],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians of the errors at the times of the first curve, up to the end of the shortest."""
    usable = [np.isfinite(c.times) & np.isfinite(c.errors) for c in curves]
    kept = [(c.times[u], c.errors[u]) for c, u in zip(curves, usable, strict=True) if u.any()]
    if not kept:
        return np.empty(0), np.empty(0)
    first = kept[0][0]
    times = first[first <= min(own[-1] for own, _ in kept)]
    logs = [np.interp(times, own, np.log(errors)) for own, errors in kept]
    return times, np.exp(np.median(logs, axis=0))


def _typical(study: Study, name: str) -> str | None:
    with_curves = {
        r.problem for r in study.runs if r.family == name and np.isfinite(r.curve.errors).any()
    }
    problems = [p for p in study.members(name) if p in with_curves]
    lowest: dict[str, float] = {}
    for method in study.others if study.has_baseline else ():
        for problem, ratio in problem_ratios(study, method, study.baseline).items():
            lowest[problem] = min(ratio, lowest.get(problem, math.inf))
    order = sorted((p for p in problems if p in lowest), key=lambda p: (lowest[p], p)) or problems
    return order[(len(order) - 1) // 2] if order else None


def _ratio(study: Study, method: str) -> float:
    ratios = list(problem_ratios(study, method, study.baseline).values())
    return geometric_mean(ratios) if ratios else math.inf
