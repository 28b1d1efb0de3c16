"""Methods against plain Adam at equal CPU time, from the records of a study alone.

Usage: python -m benchmarks.equal_time STUDY [STUDY ...] [--half calibration] [--budget cpu]
           [--at 1] [--methods METHOD,METHOD] [--focus METHOD] [--out FILE.md] [--json FILE.json]
           [--figure FILE.png] [--panels PROBLEM,PROBLEM,PROBLEM]

STUDY is a folder of records, or its packed file; several are read as one. Prints Markdown, or
writes it with --out. The figure has the error over CPU seconds for a few problems.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conflictopt.lab.problems.halves import HALVES, problems_of
from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.identity import check_comparable
from conflictopt.lab.runs.stored import load
from conflictopt.lab.study_report.study import Study, study_of

from ..documents.drawn import save
from .curves import PROBLEMS, curves
from .page import page
from .readings import FRACTIONS, Reading, readings
from .summary import ProblemRow, problem_rows, summarise


def main() -> None:
    """Read the records and tell."""
    given = _arguments()
    study = chosen_study(
        given.studies, given.half, given.budget, given.methods, given.baseline, given.mixed
    )
    found = readings(study)
    if not found:
        raise SystemExit(f"expected runs of '{study.baseline}' to compare with, found none.")
    rows, noisy = problem_rows(found), noisy_problems(study)
    text = page(found, rows, study.baseline, noisy, given.at, given.focus or focus_of(found))
    if given.json is not None:
        content = as_json(found, rows, noisy, given.at)
        given.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if given.figure is not None:
        save(curves(study, given.panels.split(",")), given.figure)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")
    else:
        print(text)


def chosen_study(
    studies: Sequence[Path],
    half: str | None,
    budget: str | None,
    methods: str | None,
    baseline: str,
    mixed: bool,
) -> Study:
    """The records that were asked for."""
    every = [r for folder in studies for r in load(folder)]
    records = [r for r in every if budget in (None, r["budget"])]
    if methods is not None:
        wanted = {baseline, *methods.split(",")}
        records = [r for r in records if r["method"] in wanted]
    if half is not None:
        members = set(problems_of(half))  # type: ignore[arg-type]
        records = [r for r in records if r["problem"] in members]
    notes = check_comparable(records, mixed=mixed)
    return study_of(records, baseline=baseline, notes=notes)


def noisy_problems(study: Study) -> set[str]:
    """Those of the suite whose data are noisy."""
    suite = load_suite()
    specs = {p: suite[p].spec for p in study.problems if p in suite}
    return {p for p, spec in specs.items() if spec.sensors is not None and spec.sensors.noise > 0}


def focus_of(found: list[Reading]) -> str:
    """The first method whose budget is time; else the first of all."""
    timed = [r.run.method for r in found if r.clock is not None]
    return (timed or [r.run.method for r in found])[0]


def as_json(
    found: list[Reading], rows: list[ProblemRow], noisy: set[str], at: float
) -> dict[str, Any]:
    """All numbers."""
    methods = dict.fromkeys(r.method for r in rows)
    problems = dict.fromkeys(r.problem for r in rows)
    groups = {
        "without noise": [p for p in problems if p not in noisy],
        "noisy": [p for p in problems if p in noisy],
    }
    return {
        "fractions": list(FRACTIONS),
        "at": at,
        "methods": {
            name: [asdict(summarise(rows, m, members, at)) for m in methods]
            for name, members in groups.items()
        },
        "problems": [asdict(row) for row in rows],
        "runs": [
            {
                "problem": r.run.problem,
                "method": r.run.method,
                "seed": r.run.seed,
                "ratios": r.ratios,
                "clock": r.clock,
                "drift": r.drift,
                "timed": r.run.record.get("timed"),
            }
            for r in found
        ],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY")
    parser.add_argument("--half", choices=HALVES, help="problems of this half alone")
    parser.add_argument("--budget", help="whose records, if there are several")
    parser.add_argument("--methods", help="of these alone, and the baseline; joined by commas")
    parser.add_argument("--baseline", default="none", help="the plain run's label")
    parser.add_argument("--at", type=float, choices=FRACTIONS, default=1.0, help="rank at this T")
    parser.add_argument("--focus", help="rank by this method; the first timed one unless given")
    parser.add_argument("--mixed", action="store_true", help="records of several versions")
    parser.add_argument("--out", type=Path, help="write the Markdown there")
    parser.add_argument("--json", type=Path, help="write all numbers there")
    parser.add_argument("--figure", type=Path, help="draw the error over CPU seconds there")
    shown = ",".join(PROBLEMS)
    parser.add_argument("--panels", default=shown, help=f"problems of the figure; {shown}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
