"""Levenberg-Marquardt, and Adam then L-BFGS, against plain Adam at equal CPU time.

The calibration half of the suite, three seeds. ``python -m benchmarks.curvature_study`` does the
runs that have no record yet (two hours on two cores with nothing else to do; stop and start it as
you like), and writes the section of docs/curvature.md; ``--table`` only writes it, ``--check``
fails if it is stale. Plain runs are those of ``records/suite.jsonl.gz``. New records lie in
``records/curvature/`` until ``conflictopt suite pack records/curvature --remove`` puts them with
the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from conflictopt.lab.problems.halves import problems_of
from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.lab.study_report.study import Study
from conflictopt.methods.expression import MethodExpression

from . import RECORDS, ROOT
from .documents.studyscript import main
from .equal_time.__main__ import chosen_study, noisy_problems
from .equal_time.page import page
from .equal_time.readings import readings
from .equal_time.summary import problem_rows

STUDY, PLAIN_RUNS = RECORDS / "curvature", RECORDS / "suite"
DOCUMENT = ROOT / "docs/curvature.md"
HALF, BUDGET, SEEDS = "calibration", "cpu", (0, 1, 2)
METHODS = tuple(
    MethodExpression.parse(text).label for text in ("levenberg_marquardt:horizon=3", "lbfgs")
)
"""L-BFGS has the plain run's time, as the habit has."""


def study() -> Study:
    """The records, with the plain runs."""
    return chosen_study((PLAIN_RUNS, STUDY), HALF, BUDGET, ",".join(METHODS), "none", mixed=False)


def sections() -> Iterator[tuple[str, str]]:
    """The tables of methods and problems."""
    found, noisy = readings(study()), noisy_problems(study())
    text = page(found, problem_rows(found), "none", noisy, 1.0, METHODS[0])
    yield "equal time", text.rstrip("\n").replace("\n## ", "\n### ")


def run(workers: int) -> None:
    """Do the runs that are not done yet, method by method."""
    suite, limit, ids = load_suite(), budget(BUDGET), problems_of(HALF)
    for method in METHODS:
        for seed in SEEDS:
            tasks = [StudyTask(suite[p], MethodExpression.parse(method), seed, limit) for p in ids]
            run_study(
                tasks, STUDY, workers=workers, on_progress=lambda r: print(r.task.label, r.status)
            )


if __name__ == "__main__":
    script = "python -m benchmarks.curvature_study"
    main(__doc__, script, DOCUMENT, run, sections)
