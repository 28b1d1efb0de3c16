"""Which adapter design helps, if any: runs, records, tables.

``python -m benchmarks.adapter_ablation`` does the runs that have no record yet (about two hours on
two cores; stop and start it as you like), then writes the tables of docs/adapters.md.
``--stage NAME`` does a part, ``--tables`` writes the tables from the records and runs nothing.
"""

from __future__ import annotations

import argparse
import sys

from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import Result, StudyTask
from conflictopt.methods.expression import MethodExpression

from .. import RECORDS, ROOT
from ..documents.sections import refreshed
from .grid import LIMIT, STAGES
from .tables import read_study, sections

STUDY = RECORDS / "adapter_ablation"
DOCUMENT = ROOT / "docs" / "adapters.md"


def run(name: str, workers: int) -> None:
    """Do the runs of a stage that are not done yet, seed by seed."""
    suite = load_suite()
    for problems, methods, seed in STAGES[name].rounds():
        tasks = [
            StudyTask(suite[problem], MethodExpression.parse(method), seed, LIMIT)
            for problem in problems
            for method in methods
        ]
        print(f"{name}, seed {seed}: {len(tasks)} runs", flush=True)
        run_study(tasks, STUDY, workers=workers, on_progress=_tell)


def _tell(result: Result) -> None:
    print(f"  {result.task.label}: {result.status}", flush=True)


def document() -> str:
    """docs/adapters.md with its tables as the records have them now."""
    return refreshed(DOCUMENT, "python -m benchmarks.adapter_ablation", sections(read_study(STUDY)))


def main() -> None:
    """Run, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", action="append", choices=list(STAGES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", action="store_true", help="write the tables, run nothing")
    parser.add_argument("--check", action="store_true", help="fail if the tables are stale")
    options = parser.parse_args()
    if options.check:
        sys.exit(int(document() != DOCUMENT.read_text(encoding="utf-8")))
    for name in [] if options.tables else options.stage or STAGES:
        run(name, options.workers)
    if options.tables or not options.stage:
        DOCUMENT.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
