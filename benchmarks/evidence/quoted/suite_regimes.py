"""The verdicts on plain runs of the suite."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from ...documents.sections import Number, Part
from ...suite_regimes import diagnoses


def suite_regimes(results: Path) -> Iterator[Part]:
    """The numbers of docs/diagnosis.md."""
    found = [d for members in diagnoses(results / "suite_regimes").values() for d in members]
    yield Number("regimes: problems", str(len(found)))
    for situation in ("persistent", "too_close"):
        count = sum(d.situation == situation for d in found)
        yield Number(f"regimes: {situation.replace('_', ' ')}", str(count))
    left = statistics.median(d.agreement.cancellation_late for d in found)
    yield Number("regimes: cancellation", f"{100 * left:.0f} %")
