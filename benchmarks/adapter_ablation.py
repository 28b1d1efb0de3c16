"""Which adapter design helps, if any: runs, records, tables.

``python benchmarks/adapter_ablation.py`` does the runs that have no record yet (hours on two
cores; stop and start it as you like) and then writes the tables of ``docs/adapters.md``;
``--tables`` writes the tables alone. A stage can be named: ``--stage screen``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from adapterablation.grid import STAGES, STEPS
from conflictopt.experiment.budget import budget
from conflictopt.experiment.methods import MethodExpression
from conflictopt.experiment.study import run_study
from conflictopt.experiment.tasks import Result, Task
from conflictopt.problems.suite import load_suite

RECORDS = Path(__file__).parent / "results" / "adapter_ablation"


def run(stages: list[str], workers: int) -> None:
    """Do the runs of some stages that are not done yet."""
    suite, limit = load_suite(), budget("cpu", STEPS)
    for name in stages:
        for problems, methods, seed in STAGES[name].rounds():
            tasks = [
                Task(suite[problem], MethodExpression.parse(method), seed, limit)
                for problem in problems
                for method in methods
            ]
            print(f"{name}, seed {seed}: {len(tasks)} runs", flush=True)
            run_study(tasks, RECORDS, workers=workers, on_progress=_tell)


def _tell(result: Result) -> None:
    print(f"  {result.task.label}: {result.status}", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", action="append", choices=list(STAGES), help="all unless given")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", action="store_true", help="write the tables, run nothing")
    options = parser.parse_args()
    if not options.tables:
        run(options.stage or list(STAGES), options.workers)


if __name__ == "__main__":
    main()
