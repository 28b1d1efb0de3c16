"""What curvature steps cost beside Adam's, on one thread.

Usage: python -m benchmarks.curvature_cost [--quick] [--only PART ...] [--seconds 10]
           [--threads 1] [--out FILE]

Every timed part has a plain one right before or after it: an evaluation with one gradient, or a
step of Adam, on the same rows in float64. Ratios are of these pairs; medians and quartiles. Writes
JSON and prints a Markdown table. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from .. import RECORDS, ROOT
from ..step_cost.allocator import keep_freed_memory
from ..step_cost.report import circumstances, write
from .measure import conjugate_record, rows_record, step_record, taylor_record
from .problems import curvature_case
from .report import page

RECORD, QUICK = RECORDS / "curvature_cost.json", ROOT / "build" / "curvature_cost_quick.json"
WIDTHS = (20, 32, 57, 128, 180)
STEPS = ((32, 300), (57, 300), (180, 300), (57, 1000), (180, 1000))
"""Width and rows: P is 3e3, 1e4 and 1e5."""
PARTS = ("rows", "steps", "taylor", "conjugate")
DAMPINGS = (1e-2, 1e-4)
"""Of conjugate gradients, relative to the Gram matrix's mean diagonal."""
TAYLOR = ("burgers_1d", "kovasznay_re20")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the small sizes, one minute")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts again")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each size")
    parser.add_argument("--out", type=Path, help="the JSON file")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with threadpool_limits(limits=given.threads):
        out = given.out or (QUICK if given.quick else RECORD)
        run(given.quick, given.seconds, out, given.only)


def run(quick: bool, seconds: float, out: Path, only: list[str] | None) -> None:
    """Measure size by size, write after each, and print everything at the end."""
    record: dict[str, Any] = {**circumstances(), **{part: {} for part in PARTS}}
    if only is not None and out.exists():
        # ratios are of neighbours in time: a part may be measured again later
        known = json.loads(out.read_text(encoding="utf-8"))
        later = {**circumstances(), "parts": only}
        record = {**known, "added": [*known.get("added", []), later]}
    for part, name, measure in _measurements(quick, seconds):
        if only is None or part in only:
            record[part][name] = measure()
            write(out, record)
    print(page(record))


def _measurements(quick: bool, seconds: float) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Part of the record, name in it, and what measures it."""
    for width in WIDTHS[:2] if quick else WIDTHS:
        case = curvature_case(width, 1000)
        yield "rows", f"width={width}", partial(rows_record, case, seconds)
    for width, rows in STEPS[:2] if quick else STEPS:
        case = curvature_case(width, rows)
        yield "steps", f"width={width}, rows={rows}", partial(step_record, case, seconds)
    for problem in TAYLOR:
        yield "taylor", problem, partial(taylor_record, problem, 50, seconds)
    for damping in () if quick else DAMPINGS:
        case = curvature_case(180, 1000)
        yield "conjugate", f"damping={damping:g}", partial(conjugate_record, case, damping)


if __name__ == "__main__":
    keep_freed_memory()
    main()
