"""What ``auto`` comes to in the time of plain training: on the suite, and on scripts of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conflictopt.wording import number

from ...auto_study import METHOD, study
from ...documents.sections import Number
from ...equal_time.__main__ import noisy_problems
from ...equal_time.readings import readings
from ...equal_time.summary import problem_rows, summarise
from ...script_study.tables import judged
from .reading import read


def auto(results: Path) -> Iterator[Number]:
    """Numbers, by name.

    Args:
        results: the folder of all records.
    """
    records = study()
    rows, noisy = problem_rows(readings(records)), noisy_problems(records)
    for name, wanted in (("auto", False), ("auto, noisy", True)):
        members = {r.problem for r in rows if (r.problem in noisy) == wanted}
        found = summarise(rows, METHOD, members, 1.0)
        yield Number(f"{name}, equal time", number(found.ratios[1.0], 2))
        yield Number(f"{name}, equal time: problems", str(found.problems[1.0]))
        yield Number(f"{name}, equal time: worse", str(len(found.harmed)))
        yield Number(f"{name}, equal time: runs", str(found.runs))
    scripts = judged(read(results / "script_study.json"))
    yield Number("auto, scripts", str(scripts.count))
    yield Number("auto, scripts: ratio", number(scripts.ratio, 2))
    yield Number("auto, scripts: worse", str(len(scripts.worse)))
