"""What other ways to differentiate cost beside Taylor mode."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from ...documents.sections import Number, Part
from .reading import read, span


def suite_cost(results: Path) -> Iterator[Part]:
    """The numbers of docs/suite.md: processor time of a step, as a multiple of Taylor mode's."""
    problems = read(results / "suite_cost.json")["problems"].values()
    for engine in ("nested", "deepxde"):
        ratios = [p["ms"][engine] / p["ms"]["taylor"] for p in problems]
        yield Number(f"suite cost: {engine}", f"{statistics.median(ratios):.1f}")
        yield Number(f"suite cost: {engine}, range", span(ratios, 1))
    yield Number("suite cost: problems", str(len(problems)))
