"""``suite list``, ``suite show`` and ``suite report``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.errors import ConflictOptError
from .selection import choose, pool_of

_MANY = 5


def list_problems(family: str | None, specs: Sequence[Path], as_json: bool) -> None:
    """The problems of the suite, or of files, as a table or as JSON."""
    problems = choose(pool_of(specs, alone=True), (), family)
    if as_json:
        print(json.dumps([_row(p) for p in problems], indent=2))  # noqa: T201  (machine output)
        return
    table = Table("id", "family", "K", "inputs", "unknowns", "title", box=box.SIMPLE_HEAD)
    for row in map(_row, problems):
        names = _short(row["inputs"]), ", ".join(row["unknowns"])
        table.add_row(row["id"], row["family"], str(row["K"]), *map(escape, names), row["title"])
    Console().print(table, f"{len(problems)} problems. One of them: conflictopt suite show ID")


def show_problems(name: str | None, specs: Sequence[Path], as_json: bool) -> None:
    """What problems say: equations, losses, solution, points, network."""
    if name is None and not specs:
        raise ConflictOptError("expected the id of a problem, or --spec FILE, found neither.")
    problems = choose(pool_of(specs, alone=True), [name] if name else (), None)
    if as_json:
        print(json.dumps([p.entry for p in problems], indent=2))  # noqa: T201  (machine output)
        return
    for problem in problems:
        print(problem.text(), end="\n\n")  # noqa: T201  (equations, unwrapped)


def report(folder: Path, out: Path | None, budget: str | None, baseline: str, mixed: bool) -> None:
    """Compare the methods of the records in a folder."""
    from ..experiment.identity import check_comparable
    from ..experiment.methods import MethodExpression
    from ..experiment.records import load
    from ..experiment.report import write_report

    records = _of_budget(load(folder), budget)
    notes = check_comparable(records, mixed=mixed)
    label = MethodExpression.parse(baseline).label
    _check_baseline(records, label)
    written = write_report(records, out or folder / "report", baseline=label, notes=notes)
    console = Console()
    for note in notes:
        console.print(f"[bold yellow]Mixed:[/] {escape(note)}", soft_wrap=True)
    console.print(f"Report on {len(records)} records: {escape(str(written))}", soft_wrap=True)


def _row(problem: Any) -> dict[str, Any]:
    names = ("id", "family", "K", "title")
    lists = ("inputs", "outputs", "loss_names", "unknowns")
    return {n: getattr(problem, n) for n in names} | {n: list(getattr(problem, n)) for n in lists}


def _short(names: Sequence[str]) -> str:
    """``x1, x2, ..., x50, t`` for many."""
    if len(names) <= _MANY:
        return ", ".join(names)
    last = names[-2:] if names[-1] == "t" else names[-1:]
    return ", ".join([*names[:2], "...", *last])


def _of_budget(records: list[dict[str, Any]], budget: str | None) -> list[dict[str, Any]]:
    counts = Counter(r["budget"] for r in records)
    found = ", ".join(f"{name} ({n})" for name, n in sorted(counts.items()))
    if budget is None and len(counts) > 1:
        raise ConflictOptError(f"records of several budgets: {found}. Choose one with --budget.")
    if budget is not None and budget not in counts:
        raise ConflictOptError(f"no records of budget '{budget}', but of {found}.")
    return [r for r in records if budget in (None, r["budget"])]


def _check_baseline(records: list[dict[str, Any]], label: str) -> None:
    known = sorted({r["method"] for r in records})
    if label not in known:
        raise ConflictOptError(
            f"no records of the baseline '{label}', but of {', '.join(known)}. Choose one of them "
            "with --baseline, or run it."
        )
