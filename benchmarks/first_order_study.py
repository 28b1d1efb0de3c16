"""Aligned updates and SOAP against plain Adam at equal CPU time.

The calibration half of the suite, three seeds, and on a third of it and one seed every part of the
alignment taken away. Runs of SOAP go around 16 sets of points unless named ``pool=1``. ``python -m
benchmarks.first_order_study`` does the runs that have no record yet, seed after seed (about an hour
a seed on two cores with nothing else to do; stop and start it as you like), and writes the tables
of docs/first_order.md; ``--table`` only writes them, ``--check`` fails if one is stale. Plain runs
are those of ``records/suite.jsonl.gz``, Levenberg-Marquardt those of
``records/curvature.jsonl.gz``. New records lie in ``records/first_order/`` until ``conflictopt
suite pack records/first_order --remove`` puts them with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conflictopt.lab.problems.halves import problems_of
from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.lab.study_report.study import Study
from conflictopt.methods.expression import MethodExpression

from . import RECORDS, ROOT
from .curvature_study import METHODS as CURVATURE_METHODS
from .curvature_study import PLAIN_RUNS
from .curvature_study import STUDY as CURVATURE
from .documents.studyscript import main
from .equal_time.__main__ import chosen_study, noisy_problems
from .equal_time.page import method_table, page
from .equal_time.readings import Reading, readings
from .equal_time.summary import ProblemRow, problem_rows

STUDY, DOCUMENT = RECORDS / "first_order", ROOT / "docs/first_order.md"
HALF, BUDGET, SEEDS = "calibration", "cpu", (0, 1, 2)
METHODS = tuple(
    MethodExpression.parse(text).label
    for text in (
        "soap+ntk",
        "soap",
        "soap+ntk+align",
        "adam+align",
        "adam+ntk+pcgrad",
        "adam+ntk+pcgrad+align",
    )
)
SETTINGS = tuple(
    MethodExpression.parse(text).label
    for text in (
        "soap:pool=1+ntk",
        "soap:warm=0+ntk",
        "soap:rate=0.25+ntk",
        "soap:rate=2+ntk",
        "soap:refresh=2+ntk",
        "soap:refresh=50+ntk",
        "adam:pool=16+ntk",
        "adam+ntk",
        "muon+ntk",
    )
)
"""SOAP's options, what fresh points do for Adam, and Muon, on the problems of the ablation."""
EVERY, ABLATED = 3, ("", "+ntk", "+pcgrad", "+ntk+pcgrad", "+config")
"""Problems of the ablation, and the methods beside which the alignment is taken apart."""
PARTS = ("", "+align:metric=euclidean", "+align:momentum=0:scale=0", "+align")
"""The optimizer's own update, the nearest one in the Euclidean metric, in its own metric with its
state left as it is, and the state following."""


def ablated_problems() -> list[str]:
    """Every third of the half."""
    return sorted(problems_of(HALF))[::EVERY]


def ablated_methods() -> list[str]:
    """Every method with every part."""
    return [MethodExpression.parse(f"adam{m}{p}").label for m in ABLATED for p in PARTS]


def sections() -> Iterator[tuple[str, str]]:
    """The table of the half, and of the ablation."""
    found, shown = _readings((*METHODS, *CURVATURE_METHODS)), METHODS[0]
    text = page(*found, "none", noisy_problems(_study(METHODS)), 1.0, shown)
    yield "equal time", text.rstrip("\n").replace("\n## ", "\n### ")
    yield "alignment", _one_seed(ablated_methods())
    yield "settings", _one_seed([METHODS[0], *SETTINGS])


def run(workers: int) -> None:
    """Do the runs that are not done yet: the half seed by seed, then the third."""
    for seed in SEEDS:
        _run(METHODS, sorted(problems_of(HALF)), seed, workers)
    for methods in (ablated_methods(), SETTINGS):
        _run(methods, ablated_problems(), SEEDS[0], workers)


def _run(methods: Iterable[str], problems: Iterable[str], seed: int, workers: int) -> None:
    suite, limit, ids = load_suite(), budget(BUDGET), list(problems)
    tasks = [
        StudyTask(suite[p], MethodExpression.parse(m), seed, limit) for m in methods for p in ids
    ]
    run_study(tasks, STUDY, workers=workers, on_progress=lambda r: print(r.task.label, r.status))


def _one_seed(methods: Iterable[str]) -> str:
    found = [r for r in _readings(methods)[0] if r.run.seed == SEEDS[0]]
    rows, members = problem_rows(found), ablated_problems()
    there = [m for m in methods if any(r.method == m for r in rows)]
    return method_table(rows, there, members, 1.0) if there else "No runs yet."


def _study(methods: Iterable[str]) -> Study:
    folders = (PLAIN_RUNS, STUDY, CURVATURE)
    return chosen_study(folders, HALF, BUDGET, ",".join(methods), "none", mixed=False)


def _readings(methods: Iterable[str]) -> tuple[list[Reading], list[ProblemRow]]:
    found = readings(_study(methods))
    return found, problem_rows(found)


if __name__ == "__main__":
    script = "python -m benchmarks.first_order_study"
    main(__doc__, script, DOCUMENT, run, sections)
