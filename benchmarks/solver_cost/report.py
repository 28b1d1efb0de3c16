"""Tables for the terminal, and what the JSON file says of the circumstances."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..step_cost import report as steps

Record = dict[str, Any]

SOLVERS = ("scipy", "cvxpy", "clarabel", "ecos", "qpsolvers", "quadprog")
"""What both sides leave the small problems to."""
ORIENTATION = ("sum", "gramian")
"""Measured beside the methods: nothing is solved."""
EVEN = 1.05
"""Ratios up to this are not called slower: noise alone gets there."""
CONFLICT = -1e-6


class Row(NamedTuple):
    """One method at one size."""

    method: str
    parameters: int
    losses: int
    cell: Record


def circumstances() -> Record:
    """Machine, versions, date and commit."""
    found = steps.circumstances()
    found["versions"] |= {name: metadata.version(name) for name in SOLVERS}
    return found


def rows(cells: dict[str, Record]) -> list[Row]:
    """All measurements, method by method, then by P and K."""
    order: dict[str, list[Row]] = {}
    for row in _flat(cells):
        order.setdefault(row.method, []).append(row)
    return [row for members in order.values() for row in members]


def show(console: Console, cells: dict[str, Record]) -> None:
    """Print the medians; red are slower methods, and conflict against a promise."""
    table = _table("one aggregation: ours / torchjd")
    table.add_column("method", no_wrap=True)
    for column in ("P", "K", "ours ms", "torchjd ms", "ratio", "pairs"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("difference", "worst cosine", "torchjd's"):
        table.add_column(column, justify="right", no_wrap=True)
    last = ""
    for row in rows(cells):
        if row.method != last and last:
            table.add_section()
        last = row.method
        table.add_row(row.method, f"{row.parameters:.0e}", str(row.losses), *_values(row.cell))
    console.print(table)
    console.print("difference: relative to the longer update; in brackets where draws differ")


def show_slower(console: Console, cells: dict[str, Record]) -> None:
    """Print where we are slower, the worst first, beside what the Gramian alone costs there."""
    slower, solved, product = slower_of(cells), solved_of(cells), gramian_of(cells)
    covered = covered_of(cells)
    console.print(
        f"slower (ratio above {EVEN}): {len(slower)} of {len(solved)}; in {len(covered)} of them "
        "the Gramian alone is slower still"
    )
    if not slower:
        return
    table = _table("slower")
    table.add_column("method", no_wrap=True)
    for column in ("P", "K", "ratio", "ms more", "Gramian alone"):
        table.add_column(column, justify="right", no_wrap=True)
    for r in sorted(slower, key=lambda r: -r.cell["ratio"][1]):
        more = r.cell["ours_ms"][1] - r.cell["torchjd_ms"][1]
        ratio = _ratio(r.cell["ratio"][1])
        alone = product.get((r.parameters, r.losses))
        table.add_row(
            r.method,
            f"{r.parameters:.0e}",
            str(r.losses),
            ratio,
            f"{more:.3g}",
            f"{alone:.3f}" if alone is not None else "",
        )
    console.print(table)


def solved_of(cells: dict[str, Record]) -> list[Row]:
    """The methods, without what is measured for orientation, where both sides finished."""
    return [r for r in rows(cells) if r.method not in ORIENTATION and "ratio" in r.cell]


def slower_of(cells: dict[str, Record]) -> list[Row]:
    """Where our method takes longer than torchjd's."""
    return [r for r in solved_of(cells) if r.cell["ratio"][1] > EVEN]


def gramian_of(cells: dict[str, Record]) -> dict[tuple[int, int], float]:
    """The ratio of the Gramian alone by P and K."""
    found = [r for r in rows(cells) if r.method == "gramian" and "ratio" in r.cell]
    return {(r.parameters, r.losses): r.cell["ratio"][1] for r in found}


def covered_of(cells: dict[str, Record]) -> list[Row]:
    """Of the slower ones those where the Gramian alone is at least as much slower."""
    alone = gramian_of(cells)
    return [
        r
        for r in slower_of(cells)
        if alone.get((r.parameters, r.losses), 0.0) >= r.cell["ratio"][1]
    ]


def _flat(cells: dict[str, Record]) -> Iterator[Row]:
    for size, by_count in cells.items():
        for count, methods in by_count.items():
            for method, cell in methods.items():
                yield Row(method, int(size[2:]), int(count[2:]), cell)


def _values(cell: Record) -> list[str]:
    if "failed" in cell:
        return ["", f"[red]{cell['failed'][:40]}[/]"]
    difference = f"{cell['difference']:.0e}"
    return [
        _ms(cell["ours_ms"][1]),
        _ms(cell["torchjd_ms"][1]),
        _ratio(cell["ratio"][1]),
        str(cell["pairs"]),
        f"({difference})" if cell["random"] else difference,
        _cosine(cell["cosine"], cell["promises"]),
        _cosine(cell["torchjd_cosine"], cell["promises"]),
    ]


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _ratio(value: float) -> str:
    colour = "red" if value > EVEN else "green" if value < 1 / EVEN else "yellow"
    return f"[{colour}]{value:.3f}[/]"


def _cosine(value: float, promises: bool) -> str:
    return f"[red]{value:.1e}[/]" if promises and value < CONFLICT else f"{value:.1e}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
