"""How often verdicts on synthetic problems are right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...documents.sections import Number, Part, Picture
from ...synthetic_regimes import REGIMES, Array, bins, columns, figure_of, scores
from .reading import Record, listed, read

NEARLY_SURE = (0.9, 0.95, 0.99)
"""Edges of the two bins of confidence that promise too much."""
SHORT = 50
"""Samples."""


def synthetic_regimes(results: Path) -> Iterator[Part]:
    """The figure, and the numbers of docs/diagnosis.md."""
    record = read(results / "synthetic_regimes.json")
    yield Picture("docs/figures/regime_reliability.png", figure_of(record))
    for name, text in (*_built(record["built"]), *_near(record)):
        yield Number(f"synthetic: {name}", text)


def _built(built: Record) -> Iterator[tuple[str, str]]:
    (cases,) = {row["cases"] for row in built.values()}
    yield "cases", str(cases)
    for name, kind in (("quadratics", "quadratics"), ("networks", "network")):
        rows = [built[f"{kind}, {regime}"] for regime in REGIMES]
        yield f"{name} right", listed(cases - len(row["not_right"]) for row in rows)


def _near(record: Record) -> Iterator[tuple[str, str]]:
    confidence, _, right = columns(record)
    brier, error = scores(confidence, right)
    yield "near", str(len(right))
    yield "near right", f"{100 * right.mean():.0f} %"
    sure = confidence >= NEARLY_SURE[0]
    yield "right if confident", f"{100 * right[sure].mean():.1f} %"
    yield "right otherwise", f"{100 * right[~sure].mean():.1f} %"
    yield "brier", f"{brier:.3f}"
    yield "brier of a constant", f"{right.var():.3f}"
    yield "calibration error", f"{error:.3f}"
    low, high = sorted(_excess(confidence, right, NEARLY_SURE))
    yield "promised too much", f"{low:.0f} to {high:.0f}"
    short = np.array(record["near"]["samples"]) == SHORT
    edges = (NEARLY_SURE[0], NEARLY_SURE[-1])
    (most,) = _excess(confidence[short], right[short], edges)
    yield "promised too much, short", f"{most:.0f}"


def _excess(confidence: Array, right: Array, edges: tuple[float, ...]) -> list[float]:
    """Mean confidence less the share of right verdicts, in points, of every bin."""
    within = (confidence >= edges[0]) & (confidence < edges[-1])
    found = bins(confidence[within], right[within], edges)
    return [100 * (value - share) for value, share, _ in found]
