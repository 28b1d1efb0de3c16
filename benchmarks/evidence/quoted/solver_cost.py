"""What an aggregation alone costs, beside torchjd's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...documents.sections import Number, Part, Picture
from ...solver_cost.figure import figure_of
from ...solver_cost.report import EVEN, covered_of, slower_of, solved_of
from .reading import Record, read


def solver_cost(results: Path) -> Iterator[Part]:
    """The figure, and the numbers of docs/cost.md."""
    record = read(results / "solver_cost.json")
    yield Picture("docs/figures/solver_cost.png", figure_of(record))
    for name, text in _numbers(record["cells"]):
        yield Number(f"solver cost: {name}", text)


def _numbers(cells: Record) -> Iterator[tuple[str, str]]:
    solved, slower = solved_of(cells), slower_of(cells)
    yield "even", f"{100 * (EVEN - 1):.0f}"
    yield "cases", str(len(solved))
    yield "not slower", str(len(solved) - len(slower))
    yield "slower", str(len(slower))
    yield "slowest", f"{max(row.cell['ratio'][1] for row in solved):.1f}"
    yield "by the product", str(len(covered_of(cells)))
    dual = [row.cell for row in solved if row.method == "dualproj"]
    yield "dualproj cosine, torchjd", f"{min(cell['torchjd_cosine'] for cell in dual):.1g}"
    yield "dualproj cosine", f"{min(cell['cosine'] for cell in dual):.0e}"
