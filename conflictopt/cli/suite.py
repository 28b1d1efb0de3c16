"""``suite list``, ``suite show`` and ``suite report``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.errors import ConflictOptError
from .problem_choice import Pool

_MANY = 5


def list_problems(family: str | None, specs: Sequence[Path], as_json: bool) -> None:
    """The problems of the suite, or of files, as a table or as JSON."""
    problems = Pool.of(specs, alone=True).choose(families=family)
    if as_json:
        print(json.dumps([_row(p) for p in problems], indent=2))  # noqa: T201  (machine output)
        return
    Console().print(_table([_row(p) for p in problems]))
    Console().print("Equations, losses, solution: conflictopt suite show ID")


def show_problems(name: str | None, specs: Sequence[Path], as_json: bool) -> None:
    """What problems say: equations, losses, solution, points, network."""
    if name is None and not specs:
        raise ConflictOptError("expected the id of a problem, or --spec FILE, found neither.")
    problems = Pool.of(specs, alone=True).choose([name] if name else ())
    if as_json:
        # a file of specifications again, to start one of one's own from
        print(json.dumps({"configs": [p.spec.raw for p in problems]}, indent=2))  # noqa: T201
        return
    for problem in problems:
        print(problem.text(), end="\n\n")  # noqa: T201  (equations, unwrapped)


def report(folder: Path, out: Path | None, budget: str | None, baseline: str, mixed: bool) -> None:
    """Compare the methods of a study's records."""
    from ..lab.runs.identity import check_comparable
    from ..lab.runs.packs import folder_of
    from ..lab.runs.stored import load
    from ..lab.study_report import write_report
    from ..methods.expression import MethodExpression

    label = MethodExpression.parse(baseline).label
    records = load(folder)
    chosen = [r for r in records if budget in (None, r["budget"])]
    notes = check_comparable(chosen, mixed=mixed)
    written = write_report(
        records, out or folder_of(folder) / "report", baseline=label, budget=budget, notes=notes
    )
    console = Console(highlight=False)
    for note in notes:
        console.print(f"[bold yellow]mixed:[/] {escape(note)}", soft_wrap=True)
    console.print(
        f"{len(chosen)} records. Report: {escape(str(written))}/ (report.md, report.html)",
        soft_wrap=True,
    )


def _row(problem: Any) -> dict[str, Any]:
    return {
        "id": problem.id,
        "family": problem.family,
        "K": problem.K,
        "losses": list(problem.loss_names),
        "inputs": list(problem.inputs),
        "outputs": list(problem.outputs),
        "unknowns": list(problem.unknown_names),
        "title": problem.title,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("id", "K", "inputs", "title", box=box.SIMPLE_HEAD)
    # ids are to be copied: the other columns wrap before they do
    table.columns[0].no_wrap, table.columns[0].min_width = True, max(len(r["id"]) for r in rows)
    table.columns[-1].overflow = "fold"
    for family, members in groupby(rows, key=lambda row: row["family"]):
        table.add_section()
        table.add_row(f"[bold]{escape(family)}[/]")
        for row in members:
            table.add_row(row["id"], str(row["K"]), _short(row["inputs"]), escape(row["title"]))
    return table


def _short(names: Sequence[str]) -> str:
    """``x1, x2, ..., x50, t`` for many."""
    if len(names) <= _MANY:
        return ", ".join(names)
    last = names[-2:] if names[-1] == "t" else names[-1:]
    return ", ".join([*names[:2], "...", *last])
