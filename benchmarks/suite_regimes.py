"""In which regime the problems of the calibration half are, by the diagnosis of their first steps.

``python -m benchmarks.suite_regimes`` profiles 1000 steps of each at half widths and all of the
specification's small points (about ten minutes on two cores; finished runs are kept) and writes the
table of docs/diagnosis.md; ``--table`` writes the table from the records alone, ``--check`` fails
if it is stale.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from conflictopt import Diagnosis, Profile, diagnose
from conflictopt.lab.problems.halves import problems_of
from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.lab.study_report.markdown import table
from conflictopt.methods.expression import MethodExpression

from . import RECORDS, ROOT
from .documents.studyscript import main

STUDY = RECORDS / "suite_regimes"
DOCUMENT = ROOT / "docs" / "diagnosis.md"
# The records were made when the budget had all of the small points and a lower rate.
LIMIT = replace(budget("cpu", 1001), point_scale=1.0, learning_rate=1e-3)
SITUATIONS = {
    "persistent": "persistent conflict",
    "magnitude": "magnitude imbalance",
    "benign": "benign",
    "too_close": "too close to call",
}


def run(workers: int) -> None:
    """Profile what has no record yet."""
    suite = load_suite()
    plain = MethodExpression.parse("none")
    tasks = [StudyTask(suite[p], plain, 0, LIMIT) for p in problems_of("calibration")]
    run_study(tasks, STUDY, workers=workers, on_progress=lambda r: print(r.task.label, r.status))


def diagnoses(folder: Path) -> dict[str, list[Diagnosis]]:
    """The verdicts on the profiles of a folder's records, by family."""
    found: dict[str, list[Diagnosis]] = defaultdict(list)
    for record in load(folder):
        found[record["family"]].append(diagnose(Profile.from_json(record["profile"])))
    return found


def sections() -> Iterator[tuple[str, str]]:
    """The table: per family and in all, the verdicts and two medians."""
    found = diagnoses(STUDY)
    every = [d for members in found.values() for d in members]
    rows = [_row(f"`{family}`", members) for family, members in sorted(found.items())]
    heads = ["family", *SITUATIONS.values(), "median norm ratio", "median cancellation, last half"]
    yield "regimes", table(heads, [*rows, _row("all", every)], "l")


def _row(name: str, members: list[Diagnosis]) -> list[str]:
    counts = [str(sum(d.situation == s for d in members)) for s in SITUATIONS]
    ratio = statistics.median(d.norm_ratio for d in members)
    left = statistics.median(d.agreement.cancellation_late for d in members)
    return [name, *counts, f"{ratio:.1f}", f"{left:.2f}"]


if __name__ == "__main__":
    main(__doc__, "python -m benchmarks.suite_regimes", DOCUMENT, run, sections)
