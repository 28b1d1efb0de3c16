"""What aggregation alone costs: a matrix of gradients to an update, by conflictopt and by torchjd.

Usage: python -m benchmarks.solver_cost [--quick] [--only METHOD ...] [--parameters P ...]
           [--threads 1] [--out FILE]
       python -m benchmarks.solver_cost --figure [--out FILE]

Every method meets torchjd's aggregator of the same name on the same K rows of P float32 entries,
pair by pair; no backward pass is timed. Allocator as in ``step_cost``. Needs ``pip install
conflictopt[bench]``. Asserts nothing: it prints tables, lists where we are slower and writes JSON;
``--only`` adds methods to the record, or measures them again. ``--figure`` draws
docs/figures/solver_cost.png from that file and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from .. import RECORDS, ROOT
from ..step_cost.allocator import keep_freed_memory
from ..step_cost.report import write
from . import report
from .contenders import CONTENDERS
from .figure import draw
from .grid import FULL, QUICK, Grid
from .matrices import conflicting
from .measure import measure

RECORD, QUICK_RECORD = RECORDS / "solver_cost.json", ROOT / "build" / "solver_cost_quick.json"
FIGURE = ROOT / "docs" / "figures" / "solver_cost.png"


def main() -> None:
    """Measure and report, or draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="six sizes, about two minutes")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="these methods alone")
    parser.add_argument("--parameters", nargs="+", type=int, metavar="P", help="these P alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the JSON file")
    parser.add_argument("--figure", action="store_true", help="draw from the JSON file and stop")
    given = parser.parse_args()
    out = given.out or (QUICK_RECORD if given.quick else RECORD)
    if given.figure:
        draw(out, FIGURE)
        cells = json.loads(out.read_text(encoding="utf-8"))["cells"]
        report.show_slower(Console(width=120), cells)
        return
    torch.set_num_threads(given.threads)
    grid = QUICK if given.quick else FULL
    if given.parameters:
        grid = replace(grid, parameters=tuple(given.parameters))
    run(grid, given.only, out)


def run(grid: Grid, only: list[str] | None, out: Path) -> None:
    """Measure size by size, write after each, and print everything at the end."""
    console = Console(width=120)
    record: dict[str, Any] = {**report.circumstances(), "cells": {}}
    if only is not None and out.exists():
        # pairs are measured side by side: methods may be added to a record later
        known = json.loads(out.read_text(encoding="utf-8"))
        later = {**report.circumstances(), "methods": only}
        record = {**known, "added": [*known.get("added", []), later]}
    for count, size in grid.sizes():
        console.print(f"K = {count}, P = {size:.0e}")
        gradients = conflicting(count, size)
        cell = record["cells"].setdefault(f"P={size}", {}).setdefault(f"K={count}", {})
        cell.update(
            {
                c.name: measure(c, gradients, grid.seconds)
                for c in CONTENDERS
                if only is None or c.name in only
            }
        )
        write(out, record)
    report.show(console, record["cells"])
    report.show_slower(console, record["cells"])
    for count, size in grid.skipped():
        console.print(f"skipped: K = {count}, P = {size:.0e}, a matrix above {grid.largest}")


if __name__ == "__main__":
    # numpy reads it when it starts; torch is told by --threads
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    keep_freed_memory()
    main()
