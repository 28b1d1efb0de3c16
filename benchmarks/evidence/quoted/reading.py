"""Records in files, and numbers as the documents write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read(path: Path) -> Record:
    """A record of one file."""
    found: Record = json.loads(path.read_text(encoding="utf-8"))
    return found


def span(values: Iterable[float], digits: int) -> str:
    """``0.82 to 1.13``: the smallest and the largest."""
    ordered = sorted(values)
    return f"{ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f}"


def interval(value: float, low: float, high: float) -> str:
    """``0.54 [0.35, 0.81]``."""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def listed(counts: Iterable[int]) -> str:
    """``200, 200 and 199``."""
    *first, last = map(str, counts)
    return f"{', '.join(first)} and {last}" if first else last
