"""What a run of each problem of the suite costs, and what Taylor mode saves.

Usage: python -m benchmarks.suite_cost [--budget cpu] [--only ID ...] [--steps 30] [--out FILE]
       python -m benchmarks.suite_cost --table [--out FILE]

Per problem, plain Adam steps on one thread at the points and widths of the budget: with the
suite's engine (Taylor mode), with the same losses by nested reverse mode, and by DeepXDE itself on
the same points. The three take turns, step by step; medians of processor time. Seconds of a run
are the median Taylor step times the budget's steps. Asserts nothing; writes JSON after every
problem. ``--table`` prints the record and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("DDE_BACKEND", "pytorch")

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from conflictopt import MultiLossOptimizer
from conflictopt.integrations.deepxde import model_of
from conflictopt.lab.problems import Problem, derivatives_of, load_suite
from conflictopt.lab.runs.budget import Budget, budget

from . import RECORDS
from .step_cost.report import circumstances, write

OUT = RECORDS / "suite_cost.json"
Step = Callable[[], object]
_SLOW_INPUTS = 12
"""With more inputs nested derivatives take seconds a step: fewer steps are timed."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", default="cpu")
    parser.add_argument("--only", nargs="+", metavar="ID", help="these problems alone")
    parser.add_argument("--steps", type=int, default=30, help="timed steps of each engine")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON file")
    parser.add_argument("--table", action="store_true", help="print the JSON file and stop")
    given = parser.parse_args()
    if not given.table:
        torch.set_num_threads(1)
        measure_all(budget(given.budget), given.only or list(load_suite()), given.steps, given.out)
    show(Console(width=110), json.loads(given.out.read_text(encoding="utf-8")))


def measure_all(chosen: Budget, names: list[str], steps: int, out: Path) -> None:
    """Problem by problem; the record is written after each."""
    record: dict[str, Any] = {
        **circumstances(),
        "budget": chosen.name,
        "point_scale": chosen.point_scale,
        "steps_per_run": chosen.steps,
        "problems": {},
    }
    for name in names:
        problem = load_suite()[name]
        few = max(3, steps // 10)
        engines = dict(contenders(problem, chosen))
        count = steps if len(problem.inputs) <= _SLOW_INPUTS else few
        record["problems"][name] = {"family": problem.family, "ms": interleave(engines, count)}
        write(out, record)


def contenders(problem: Problem, chosen: Budget) -> Iterator[tuple[str, Step]]:
    """One plain training step of each engine."""
    points = problem.draw(problem.counts(chosen.small_points, chosen.point_scale), seed=0)
    sizes = problem.sizes(chosen.width(problem.spec.network.width))
    for mode in ("taylor", "nested"):
        yield mode, _ours(problem, points, sizes, mode)
    made = model_of(problem, points=points, sizes=sizes)
    model = made.model
    unknowns = list(made.unknowns.values())
    model.compile("adam", lr=1e-3, external_trainable_variables=unknowns, verbose=0)
    data = model.data
    yield "deepxde", lambda: model.train_step(data.train_x, data.train_y, data.train_aux_vars)


def _ours(problem: Problem, points: Any, sizes: list[int], mode: Any) -> Step:
    losses, net, unknowns = problem.losses(points), problem.network(sizes), problem.unknowns()
    adam = torch.optim.Adam([*net.parameters(), *unknowns.values()], lr=1e-3)
    optimizer = MultiLossOptimizer(adam, "sum")
    derive = derivatives_of(net, mode)
    return lambda: optimizer.step(losses.at(derive, unknowns))


def interleave(engines: dict[str, Step], count: int) -> dict[str, float]:
    """Median milliseconds of processor time of each engine's step."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(count + 2):
        for name, step in engines.items():
            began = time.process_time()
            step()
            if turn >= 2:  # the first two set things up
                times[name].append(1e3 * (time.process_time() - began))
    return {name: statistics.median(ms) for name, ms in times.items()}


def show(console: Console, record: dict[str, Any]) -> None:
    """Seconds of a run, and steps of the other engines as multiples of Taylor mode's."""
    steps = record["steps_per_run"]
    table = Table("problem", "family", box=SIMPLE_HEAD)
    for heading in ("step, ms", f"run of {steps} steps, s", "nested", "DeepXDE"):
        table.add_column(heading, justify="right")
    ratios: dict[str, list[float]] = {"nested": [], "deepxde": []}
    total = 0.0
    for name, row in record["problems"].items():
        ms = row["ms"]
        total += steps * ms["taylor"] / 1e3
        for other, found in ratios.items():
            found.append(ms[other] / ms["taylor"])
        cells = [f"{ms['taylor']:.1f}", f"{steps * ms['taylor'] / 1e3:.0f}"]
        table.add_row(name, row["family"], *cells, *(f"{r[-1]:.1f}x" for r in ratios.values()))
    console.print(table)
    for other, found in ratios.items():
        console.print(
            f"{other} / Taylor mode: median {statistics.median(found):.2f}, "
            f"from {min(found):.2f} to {max(found):.1f} ({len(found)} problems)"
        )
    console.print(f"one run of each: {total / 60:.0f} minutes of one core")


if __name__ == "__main__":
    main()
