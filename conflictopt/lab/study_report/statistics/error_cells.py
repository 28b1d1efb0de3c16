"""Errors of each method on each problem, over seeds."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..run import Run
from ..study import Study
from .inventory import outcome


@dataclass(frozen=True)
class SeedSpread:
    """Median and range over seeds; all ``None`` without a value."""

    median: float | None
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True, eq=False)
class ErrorCell:
    """One method on one problem.

    Attributes:
        error: relative L2 error (geometric mean over outputs) of the finished runs.
        endings: how the other runs ended, counted.
        best: lowest median on the problem among methods whose runs all finished; never where
            there is one method only.
    """

    error: SeedSpread
    endings: Counter[str]
    best: bool


def spread(values: Sequence[float | None]) -> SeedSpread:
    """Median and range of the values that are there."""
    found = [v for v in values if v is not None]
    if not found:
        return SeedSpread(None, None, None, 0)
    return SeedSpread(statistics.median(found), min(found), max(found), len(found))


def error_cells(study: Study, problem: str) -> dict[str, ErrorCell]:
    """Every method that has a run on a problem."""
    runs = {m: found for m in study.methods if (found := study.of(problem, m))}
    spreads = {m: spread([r.error for r in found]) for m, found in runs.items()}
    whole = {m for m, found in runs.items() if all(r.finished for r in found)}
    medians = [s.median for m, s in spreads.items() if m in whole and s.median is not None]
    lowest = min(medians, default=None)
    return {
        m: ErrorCell(
            spreads[m],
            Counter(outcome(r) for r in found if not r.finished),
            len(runs) > 1 and m in whole and spreads[m].median == lowest,
        )
        for m, found in runs.items()
    }


def unknown_spreads(runs: Sequence[Run]) -> dict[str, SeedSpread]:
    """Relative error of each unknown over seeds, of finished runs."""
    names = sorted({name for run in runs for name in run.unknowns})
    return {
        name: spread([run.unknowns.get(name) for run in runs if run.finished]) for name in names
    }
