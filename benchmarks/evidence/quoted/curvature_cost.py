"""What steps of Levenberg-Marquardt cost, beside Adam's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...documents.sections import Number, Part
from .reading import Record, read


def curvature_cost(results: Path) -> Iterator[Part]:
    """The numbers of docs/cost.md."""
    record = read(results / "curvature_cost.json")
    for name, text in _numbers(record):
        yield Number(f"curvature cost: {name}", text)


def _numbers(record: Record) -> Iterator[tuple[str, str]]:
    large = [r for r in record["rows"].values() if r["parameters"] >= 1e4]
    small = [r for r in record["rows"].values() if r["parameters"] < 1e4]
    yield "rows, large", _range([r["ratio"][1] for r in large])
    yield "rows, small", _range([r["ratio"][1] for r in small])
    yield "memory", f"{max(r['peak_bytes'] for r in large) / 1e6:.0f}"
    steps = list(record["steps"].values())
    for count in (300, 1000):
        own = [r["parts"]["step"]["ratio"][1] for r in steps if r["rows"] == count]
        yield f"step of {count}", f"{min(own):.0f} to {max(own):.0f}"
    yield "taylor", _range([r["ratio"][1] for r in record["taylor"].values()])


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
