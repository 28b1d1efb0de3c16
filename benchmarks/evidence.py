"""What helps where: the runs on all 85 problems, and the tables and figures made of them.

``python benchmarks/evidence.py`` writes the sections of the documents and the figures from the
records in ``results/``; ``--check`` fails if one of them is stale; ``--run`` first does the runs
that have no record yet (about six hours on two cores; stop and start it as you like, ``--stage``
and ``--seed`` do a part).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sections import Documents
from suiteevidence.contents import contents
from suiteevidence.grid import BUDGET, stages

from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.records import load
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import Result, StudyTask
from conflictopt.lab.study_report.study import study_of
from conflictopt.methods.expression import MethodExpression

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results"
QUOTING = (
    "README.md",
    "docs/evidence.md",
    "docs/diagnosis.md",
    "docs/adapters.md",
    "docs/suite.md",
)


def run(names: list[str], seeds: list[int] | None, records: Path, workers: int) -> None:
    """Do the runs that are not done yet, seed by seed and method by method."""
    suite, limit = load_suite(), budget(BUDGET)
    for name in names:
        for problems, methods, seed in stages()[name].rounds():
            for method in methods if seeds is None or seed in seeds else ():
                expression = MethodExpression.parse(method)
                tasks = [StudyTask(suite[p], expression, seed, limit) for p in problems]
                print(f"{name}, seed {seed}, {method}: {len(tasks)} runs", flush=True)
                run_study(tasks, records, workers=workers, on_progress=_tell)


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
    parser.add_argument("--records", type=Path, default=RECORDS, help="the folder of records")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="fail if a document is stale")
    given = parser.parse_args()
    if given.run:
        run(given.stage or list(stages()), given.seed, given.records, given.workers)
        return
    # late: the records of costs are read by modules that set the environment of benchmarks
    from quotedrecords.contents import parts as quoted

    documents = Documents(ROOT, "benchmarks/evidence.py", QUOTING)
    for part in quoted(ROOT):
        documents.add(part)
    for part in contents(study_of(load(given.records))):
        documents.add(part)
    sys.exit(documents.check() if given.check else documents.write())


if __name__ == "__main__":
    main()
