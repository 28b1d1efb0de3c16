"""Where the record of a run lies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_OTHER = re.compile(r"[^a-z0-9_=+-]")
_LONGEST = 80


def slug(label: str) -> str:
    """A file name for a label: different labels, different names, on every file system.

    Lower-case letters, digits and ``_ = + -`` are kept. Where anything had to be replaced or cut,
    ``~`` and ten hex digits of the label's SHA-256 follow; ``~`` itself is never kept, so that no
    name without it is the name of another label.

    >>> slug("adapters+ntk"), slug("ntk:cap=10")
    ('adapters+ntk', 'ntk-cap=10~7171cbdbc5')
    """
    text = _OTHER.sub("-", label)[:_LONGEST]
    if text == label and label:
        return text
    return f"{text}~{hashlib.sha256(label.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def record_path(folder: Path, record: Mapping[str, Any]) -> Path:
    """``FOLDER/PROBLEM/METHOD.BUDGET.seedN.json``, of a record or of a run's identity."""
    name = f"{slug(record['method'])}.{slug(record['budget'])}.seed{record['seed']}.json"
    return folder / slug(record["problem"]) / name
