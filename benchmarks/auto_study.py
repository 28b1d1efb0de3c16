"""``auto`` against plain Adam at equal CPU time.

The calibration half of the suite, three seeds, with Levenberg-Marquardt from the start, SOAP, and
Adam then L-BFGS beside it. ``python -m benchmarks.auto_study`` does the runs that have no record
yet, seed after seed (a quarter of an hour a seed on two cores with nothing else to do; stop and
start it as you like), and writes the tables of docs/auto.md and the figure of the README;
``--table`` only writes them, ``--check`` fails if one is stale. The runs of others are those of
``records/suite.jsonl.gz``, ``records/curvature.jsonl.gz`` and ``records/first_order.jsonl.gz``. New
records lie in ``records/auto/`` until ``conflictopt suite pack records/auto --remove`` puts them
with the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from conflictopt.lab.problems.halves import problems_of
from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.lab.study_report.statistics.pairing import geometric_mean
from conflictopt.lab.study_report.study import Study
from conflictopt.methods.expression import MethodExpression

from . import RECORDS, ROOT
from .curvature_study import METHODS as CURVATURE_METHODS
from .curvature_study import PLAIN_RUNS
from .curvature_study import STUDY as CURVATURE
from .documents.studyscript import main
from .equal_time.__main__ import chosen_study, noisy_problems
from .equal_time.curves import curves
from .equal_time.page import page
from .equal_time.readings import readings
from .equal_time.summary import beside_the_best, problem_rows
from .first_order_study import METHODS as ALL_FIRST_ORDER
from .first_order_study import STUDY as FIRST_ORDER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY, DOCUMENT = RECORDS / "auto", ROOT / "docs/auto.md"
FIGURE = ROOT / "docs/figures/equal_time.png"
FIRST_ORDER_METHODS = ALL_FIRST_ORDER[:2]
HALF, BUDGET, SEEDS = "calibration", "cpu", (0, 1, 2)
METHOD, NEAR = "auto", 1.5
OTHERS = (*CURVATURE_METHODS, *FIRST_ORDER_METHODS)
DRAWN = (*CURVATURE_METHODS, FIRST_ORDER_METHODS[0])


def study(methods: Sequence[str] = OTHERS) -> Study:
    """The records, with those of others."""
    methods = ",".join((METHOD, *methods))
    folders = (PLAIN_RUNS, STUDY, CURVATURE, FIRST_ORDER)
    return chosen_study(folders, HALF, BUDGET, methods, "none", mixed=False)


def sections() -> Iterator[tuple[str, str]]:
    """The tables of methods and problems."""
    found, noisy = readings(study()), noisy_problems(study())
    rows = problem_rows(found)
    ratios = beside_the_best(rows, METHOD, 1.0).values()
    near = sum(r <= NEAR for r in ratios)
    yield (
        "beside the best",
        f"At T its error is at most {NEAR:g} times that of the best of the others on {near} of "
        f"{len(ratios)} problems; in the geometric mean it is {geometric_mean(list(ratios)):.2f} "
        "times it.",
    )
    text = page(found, rows, "none", noisy, 1.0, METHOD)
    yield "equal time", text.rstrip("\n").replace("\n## ", "\n### ")


def pictures() -> Iterator[tuple[Path, Figure]]:
    """The figure of the README."""
    yield FIGURE, curves(study(DRAWN))


def run(workers: int) -> None:
    """Do the runs that are not done yet, seed by seed."""
    suite, limit, method = load_suite(), budget(BUDGET), MethodExpression.parse(METHOD)
    for seed in SEEDS:
        tasks = [StudyTask(suite[p], method, seed, limit) for p in problems_of(HALF)]
        run_study(
            tasks, STUDY, workers=workers, on_progress=lambda r: print(r.task.label, r.status)
        )


if __name__ == "__main__":
    script = "python -m benchmarks.auto_study"
    main(__doc__, script, DOCUMENT, run, sections, pictures)
