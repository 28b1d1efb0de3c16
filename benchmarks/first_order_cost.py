"""What a step of SOAP, and an aligned one, costs beside Adam's, on one thread.

Usage: python -m benchmarks.first_order_cost [--seconds 20] [--only DeepXDE] [--tables | --check]

Every timed step has a plain one of another model right before or after it; ratios are of these
pairs, medians and quartiles. Writes records/first_order_cost.json and the table of
docs/first_order.md; ``--tables`` only writes that, ``--check`` fails if it is stale.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial

import torch

from conflictopt.lab.study_report.markdown import code, table
from conflictopt.optim.guarded_soap import GuardedSOAP

from . import RECORDS, ROOT
from .documents.studyscript import write_tables
from .step_cost import contenders as by
from .step_cost.allocator import keep_freed_memory
from .step_cost.cases import StepCase
from .step_cost.contenders import CYCLE, StepContender
from .step_cost.equations import burgers, kovasznay
from .step_cost.loops import burgers_loop
from .step_cost.measure import Record, measure
from .step_cost.problems import LoopProblem, Step
from .step_cost.report import circumstances, write

RECORD, DOCUMENT = RECORDS / "first_order_cost.json", ROOT / "docs" / "first_order.md"
SCRIPT, SECTION = "python -m benchmarks.first_order_cost", "cost"
WIDTHS = (20, 70, 222)
"""Of the loop's three hidden layers: P is 1e3, 1e4 and 1e5."""
REFRESHES = (10, 50)


def soap(refresh: int) -> StepContender:
    """SOAP in place of the problem's Adam, from the first step on."""

    def start(problem: LoopProblem) -> Step:
        problem.optimizer = GuardedSOAP(problem.optimizer, refresh=refresh, warm=0)
        problem.treat("sum")
        return problem.step

    return StepContender(f"soap:refresh={refresh}", "conflictopt", start, CYCLE, refresh)


def cases(seconds: float) -> list[StepCase]:
    """The loop at three widths with everything, two DeepXDE models with aligned updates."""
    who = [by.plain(), *map(soap, REFRESHES), *by.surgery()[:1], *by.aligned()]
    loops: dict[str, Callable[[], LoopProblem]] = {
        f"Burgers loop, width {w}": partial(burgers_loop, w) for w in WIDTHS
    }
    models = {"Burgers, DeepXDE": burgers, "Kovasznay, DeepXDE": kovasznay}
    return [
        *(StepCase(name, build, who, seconds) for name, build in loops.items()),
        *(
            StepCase(name, build, [by.plain(), *by.surgery()[:1], *by.aligned()], seconds)
            for name, build in models.items()
        ),
    ]


def section(record: Record) -> str:
    """Ratios to the plain step, one row for each case."""
    names = list(dict.fromkeys(n for of in record["cases"].values() for n in of["contenders"]))
    heads = ["case", "parameters", "Adam, ms", *map(code, names[1:])]
    lines = []
    for name, of in record["cases"].items():
        found = of["contenders"]
        own = [_told(found[n]["ratio"]) if n in found else "-" for n in names[1:]]
        lines.append([name, str(of["parameters"]), f"{found['plain']['ms'][1]:.1f}", *own])
    return table(heads, lines, "l" + "r" * (len(heads) - 1))


def _told(ratio: list[float]) -> str:
    low, middle, high = ratio
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Measure, and write the table; or do that alone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for each case")
    parser.add_argument("--only", help="measure cases again with this in their names")
    parser.add_argument("--tables", action="store_true", help="write the table, measure nothing")
    parser.add_argument("--check", action="store_true", help="fail if the table is stale")
    given = parser.parse_args()
    if not (given.tables or given.check):
        torch.set_num_threads(1)
        keep_freed_memory()
        record: Record = {**circumstances(), "cases": {}}
        if given.only is not None and RECORD.exists():
            # ratios are of neighbours in time: a case may be measured again later
            record = json.loads(RECORD.read_text(encoding="utf-8"))
        for case in cases(given.seconds):
            if given.only is not None and given.only not in case.name:
                continue
            record["cases"][case.name] = measure(case)
            write(RECORD, record)
    write_tables(
        DOCUMENT, SCRIPT, [(SECTION, section(json.loads(RECORD.read_text())))], given.check
    )


if __name__ == "__main__":
    main()
