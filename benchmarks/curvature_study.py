"""Levenberg-Marquardt, and Adam then L-BFGS, against plain Adam at equal CPU time.

The calibration half of the suite, three seeds. ``python -m benchmarks.curvature_study`` writes the
section of docs/curvature.md and the figure of the README from ``records/curvature.jsonl.gz`` and
the plain runs of ``records/suite.jsonl.gz``; ``--check`` fails if one of them is stale; ``--run``
does the runs that have no record yet (two hours on two cores with nothing else to do; stop and
start it as you like). Their records lie in ``records/curvature/`` until ``conflictopt suite pack``
puts them with the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from conflictopt.lab.problems.halves import problems_of
from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.study import run_planned
from conflictopt.lab.runs.tasks import Result, StudyTask, plan_study
from conflictopt.methods.expression import MethodExpression

from . import RECORDS, ROOT
from .documents.sections import Documents, DocumentSection, Part, Picture
from .equal_time.__main__ import chosen_study, noisy_problems
from .equal_time.curves import curves
from .equal_time.page import page
from .equal_time.readings import readings
from .equal_time.summary import problem_rows

STUDY, PLAIN_RUNS = RECORDS / "curvature", RECORDS / "suite"
SCRIPT = "python -m benchmarks.curvature_study"
HALF, BUDGET, SEEDS = "calibration", "cpu", (0, 1, 2)
METHODS = tuple(
    MethodExpression.parse(text).label for text in ("levenberg_marquardt:horizon=3", "lbfgs")
)
"""L-BFGS has the plain run's time, as the habit has."""


def parts() -> Iterator[Part]:
    """What documents have of the study."""
    study = chosen_study((PLAIN_RUNS, STUDY), HALF, BUDGET, ",".join(METHODS), "none", mixed=False)
    found = readings(study)
    text = page(found, problem_rows(found), "none", noisy_problems(study), 1.0, METHODS[0])
    text = text.rstrip("\n").replace("\n## ", "\n### ")
    yield DocumentSection("docs/curvature.md", "equal time", text)
    yield Picture("docs/figures/equal_time.png", curves(study))


def run(records: Path, workers: int) -> None:
    """Do the runs that are not done yet, method by method."""
    suite, limit, ids = load_suite(), budget(BUDGET), problems_of(HALF)
    for method in METHODS:
        for seed in SEEDS:
            expression = MethodExpression.parse(method)
            tasks = [StudyTask(suite[p], expression, seed, limit) for p in ids]
            run_planned(plan_study(tasks, records), workers=workers, on_progress=_tell)


def _tell(result: Result) -> None:
    print(f"{result.task.label}: {result.status}", flush=True)


def main() -> None:
    """Run, write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", action="store_true", help="do the runs that have no record yet")
    parser.add_argument("--records", type=Path, default=STUDY, help="folder of new records")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="fail if something is stale")
    given = parser.parse_args()
    if given.run:
        run(given.records, given.workers)
        return
    documents = Documents(ROOT, SCRIPT, ())
    for part in parts():
        documents.add(part)
    sys.exit(documents.check() if given.check else documents.write())


if __name__ == "__main__":
    main()
