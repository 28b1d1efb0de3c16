"""``methods``: the registry, as a table or as JSON."""

from __future__ import annotations

import json

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..methods.registry import describe


def list_methods(as_json: bool) -> None:
    """Print the registry."""
    rows = describe()
    if as_json:
        print(json.dumps(rows, indent=2))  # noqa: T201  (machine output, unwrapped)
        return
    table = Table("name", "needs", "summary", "claim", box=box.SIMPLE_HEAD)
    for family in ("reweighting", "surgery", "routing"):
        table.add_section()
        table.add_row(f"[bold]{family}[/]")
        for row in (r for r in rows if r["family"] == family):
            needs = ", ".join(row["needs"])
            table.add_row(row["name"], needs, escape(row["summary"]), escape(row["claim"]))
    Console().print(
        table,
        "Sources, cost per step and options: conflictopt methods --json\n"
        "Options and several of them: --method ntk:refresh=10+pcgrad",
    )
