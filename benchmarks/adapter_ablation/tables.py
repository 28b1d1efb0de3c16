"""The tables of the ablation as Markdown, from its records alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from conflictopt.lab.runs.stored import load
from conflictopt.lab.study_report.markdown import table
from conflictopt.lab.study_report.statistics.pairing import counted_error, geometric_mean
from conflictopt.lab.study_report.study import Study, study_of

from .compare import Compared, corrected, over_problems, over_seeds
from .grid import BASELINES, CONFIRMED, LATER, PROBLEMS, SCREENED, STAGES, VARIANTS


def read_study(folder: Path) -> Study:
    """All records of a folder."""
    return study_of(load(folder))


def sections(main: Study) -> Iterator[tuple[str, str]]:
    """Per part of the ablation its name and its tables."""
    study = of_seeds(main, STAGES["confirm"].seeds)
    methods = (*BASELINES, *CONFIRMED, *LATER)
    yield "errors", _errors(study, methods, PROBLEMS)
    yield "ratios", _ratios(study, methods[1:], PROBLEMS, ("none", "ntk", "wide+ntk"))
    yield "later", _ratios(study, LATER, PROBLEMS, ("none", *LATER[:2]))
    screen = of_seeds(main, STAGES["screen"].seeds)
    yield "designs", _ratios(screen, (LATER[3], *VARIANTS), SCREENED, LATER[:2])
    decide = STAGES["decide"]
    yield "decide", _by_problem(of_seeds(main, decide.seeds), decide.problems)


def of_seeds(study: Study, seeds: Sequence[int]) -> Study:
    """The runs of some seeds."""
    runs = tuple(r for r in study.runs if r.seed in seeds)
    return Study(runs, study.baseline, study.budget, study.mixtures)


def _errors(study: Study, methods: Sequence[str], problems: Sequence[str]) -> str:
    rows = []
    for method in methods:
        cells = []
        for problem in problems:
            runs = study.of(problem, method)
            errors = [counted_error(study, r) for r in runs]
            cells.append(f"{geometric_mean(errors):.2g}" if errors else "-")
        rows.append([f"`{method}`", *cells])
    return table(["method", *(f"`{p}`" for p in problems)], rows, "l")


def _ratios(
    study: Study, methods: Sequence[str], problems: Sequence[str], against: Sequence[str]
) -> str:
    columns = {
        other: [over_problems(study, m, other, problems) if m != other else None for m in methods]
        for other in against
    }
    heads = ["method"]
    for other in against:
        heads += [f"over `{other}`", "worst", "lower", "p (Holm)"]
    p_values = {other: corrected(found) for other, found in columns.items()}
    rows = []
    for i, method in enumerate(methods):
        row = [f"`{method}`"]
        for other in against:
            row += _cells(columns[other][i], p_values[other][i])
        rows.append(row)
    return table(heads, rows, "l")


def _by_problem(study: Study, problems: Sequence[str]) -> str:
    pairs = [(LATER[3], LATER[0]), (LATER[3], LATER[1]), (LATER[1], LATER[0])]
    cases = [(problem, *pair) for problem in problems for pair in pairs]
    found = [over_seeds(study, m, o, p) for p, m, o in cases]
    heads = ["problem", "method", "over", "ratio", "lower", "p (Holm)"]
    rows = []
    for (problem, method, other), made, p in zip(cases, found, corrected(found), strict=True):
        ratio, _, lower, shown = _cells(made, p)
        rows.append([f"`{problem}`", f"`{method}`", f"`{other}`", ratio, lower, shown])
    return table(heads, rows, "l")


def _cells(made: Compared | None, p: float | None) -> list[str]:
    if made is None:
        return ["-", "-", "-", "-"]
    interval = "" if math.isnan(made.low) else f" [{made.low:.2f}, {made.high:.2f}]"
    shown = "-" if p is None else f"{p:.2g}"
    ratio = f"{made.ratio:.2f}{interval}"
    return [ratio, f"{made.worst:.2f}", f"{made.lower}/{made.pairs}", shown]
