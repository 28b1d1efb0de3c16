"""What helps where: the runs on all 85 problems, and the tables and figures made of them.

``python -m benchmarks.evidence`` writes the sections of the documents and the figures from the
records in ``records/suite.jsonl.gz``; ``--check`` fails if one of them is stale; ``--run`` does the
runs that have no record yet (about six hours on two cores; stop and start it as you like,
``--stage`` and ``--seed`` do a part). Their records lie in ``records/suite/`` until ``conflictopt
suite pack records/suite --remove`` puts them with the others.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import run_planned
from conflictopt.lab.runs.tasks import Result, StudyTask, plan_study
from conflictopt.lab.study_report.study import study_of
from conflictopt.methods.expression import MethodExpression

from .. import RECORDS, ROOT
from ..documents.sections import Documents
from .contents import contents
from .grid import BUDGET, stages
from .in_short import in_short

STUDY = RECORDS / "suite"
QUOTING = (
    "docs/evidence.md",
    "docs/diagnosis.md",
    "docs/adapters.md",
    "docs/cost.md",
    "docs/suite.md",
)


def run(names: list[str], seeds: list[int] | None, records: Path, workers: int) -> None:
    """Do the runs that are not done yet, seed by seed and method by method."""
    suite, limit = load_suite(), budget(BUDGET)
    parts = [
        (
            f"{name}, seed {seed}, {method}",
            [StudyTask(suite[p], expression, seed, limit) for p in ids],
        )
        for name in names
        for ids, methods, seed in stages()[name].rounds()
        for method in (methods if seeds is None or seed in seeds else ())
        for expression in (MethodExpression.parse(method),)
    ]
    planned = iter(plan_study((task for _, tasks in parts for task in tasks), records))
    for title, tasks in parts:
        print(f"{title}: {len(tasks)} runs", flush=True)
        run_planned(list(islice(planned, len(tasks))), workers=workers, on_progress=_tell)


def _tell(result: Result) -> None:
    print(f"  {result.task.label}: {result.status}", flush=True)


def main() -> None:
    """Run, write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", action="store_true", help="do the runs that have no record yet")
    parser.add_argument("--stage", action="append", choices=list(stages()), help="this one only")
    parser.add_argument("--seed", action="append", type=int, help="this one only")
    parser.add_argument(
        "--records", type=Path, default=STUDY, help="the study: its folder or packed file"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="fail if a document is stale")
    given = parser.parse_args()
    if given.run:
        run(given.stage or list(stages()), given.seed, given.records, given.workers)
        return
    # late: the records of costs are read by modules that set the environment of benchmarks
    from .quoted.contents import parts as quoted

    documents = Documents(ROOT, "python -m benchmarks.evidence", QUOTING)
    for part in quoted(RECORDS):
        documents.add(part)
    for part in contents(study_of(load(given.records))):
        documents.add(part)
    for section in in_short():
        documents.add(section)
    sys.exit(documents.check() if given.check else documents.write())


if __name__ == "__main__":
    main()
