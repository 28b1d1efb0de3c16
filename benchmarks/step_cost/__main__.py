"""What one optimizer step costs under conflictopt, torchjd and conflictfree, beside the plain step.

Usage: python -m benchmarks.step_cost [--quick] [--only CASE ...] [--threads 1] [--out FILE]
       python -m benchmarks.step_cost --figure [--out FILE]

Every contender has a model of its own, from the same seed, and every one of its timed steps has a
plain step of another such model right before or after it; the ratios are of these pairs. Float32,
Adam, CPU, and an allocator that keeps freed memory (see ``step_cost.allocator``). Needs
``pip install conflictopt[bench]``. Asserts nothing: it prints tables and targets and writes JSON;
``--figure`` draws docs/figures/step_cost.png from that file and measures nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.console import Console

from .. import RECORDS, ROOT
from . import report
from .allocator import keep_freed_memory
from .cases import StepCase, full_cases, quick_cases
from .figure import draw
from .measure import measure
from .targets import targets

RECORD, QUICK = RECORDS / "step_cost.json", ROOT / "build" / "step_cost_quick.json"
FIGURE = ROOT / "docs" / "figures" / "step_cost.png"


def main() -> None:
    """Measure and report, or draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="five cases, about four minutes")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the JSON file")
    parser.add_argument("--figure", action="store_true", help="draw from the JSON file and stop")
    given = parser.parse_args()
    out = given.out or (QUICK if given.quick else RECORD)
    if given.figure:
        draw(out, FIGURE)
        return
    torch.set_num_threads(given.threads)
    run(quick_cases() if given.quick else full_cases(), given.only, out)


def run(cases: list[StepCase], only: list[str] | None, out: Path) -> None:
    """Measure the cases, print as they finish, and write everything."""
    console = Console(width=120)
    record = {**report.circumstances(), "cases": {}}
    for case in cases:
        if only is None or case.name in only:
            record["cases"][case.name] = measure(case)
            report.show_case(console, case.name, record["cases"][case.name])
            report.write(out, record)
    found = targets(record["cases"])
    report.show_targets(console, found)
    record["targets"] = [{**t._asdict(), "met": t.met} for t in found]
    report.write(out, record)


if __name__ == "__main__":
    keep_freed_memory()
    main()
