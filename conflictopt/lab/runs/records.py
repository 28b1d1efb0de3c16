"""Records on disk: one JSON file per run, whole or not there at all."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import ConflictOptError
from ...core.plain_data import plain_data
from .place import record_path
from .whole_file import replacing

SCHEMA = 1
"""Of the records that this version writes and reads."""

_KEYS: dict[str, type] = {
    "schema": int,
    "problem": str,
    "method": str,
    "options": dict,
    "seed": int,
    "budget": str,
    "settings": dict,
    "status": str,
    "versions": dict,
    "digest": dict,
}
_RUN_FILE = re.compile(r".+\.seed\d+\.json")
_ABANDONED_SECONDS = 600.0


class RecordError(ConflictOptError, ValueError):
    """A file is no record, or records do not go together."""


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record so that no reader ever sees a part of it, whenever the writer is killed.

    Args:
        path: of ``record_path``; its folder is created if need be.
        record: plain data; NaN and infinity become ``null``.

    Raises:
        TypeError: the record holds something that JSON cannot say.
    """
    # one top-level entry per line: short enough to store, readable enough to look at
    items = plain_data(record, "null").items()
    entries = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in items]
    with replacing(path) as file:
        file.write(("{\n" + ",\n".join(entries) + "\n}\n").encode())


def read(path: Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        RecordError: the file is damaged, or something else than a record.
        OSError: it cannot be read.
    """
    return checked(path.read_bytes(), str(path))


def checked(text: bytes, where: str) -> dict[str, Any]:
    """The record that a text holds.

    Args:
        where: it was found, for messages.

    Raises:
        RecordError: it is damaged, or something else than a record.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise _no_record(where, f"it is no JSON: {error}") from None
    if not isinstance(record, dict):
        raise _no_record(where, f"it holds a {type(record).__name__}, not an object")
    wrong = [k for k, kind in _KEYS.items() if not isinstance(record.get(k), kind)]
    if wrong:
        raise _no_record(where, f"it has no {', '.join(wrong)}")
    return record


def read_folder(folder: Path) -> dict[Path, dict[str, Any]]:
    """The records in a folder by their place in it, ordered by file name; none without a folder.

    Folders in it that hold no file named like a run's (a report, say) are not looked at, nor are
    the leftovers of interrupted writes; those that nobody can still be writing are removed.

    Raises:
        RecordError: a JSON file that is damaged, no record, or not in its place (a copy under
            another name would count twice).
    """
    clean(folder)
    records = {}
    for path in record_files(folder):
        record = read(path)
        place = record_path(folder, record)
        if place != path:
            raise _no_record(str(path), f"it is that of '{place}', of which it may be a copy")
        records[path.relative_to(folder)] = record
    return records


def clean(folder: Path) -> None:
    """Remove what interrupted writes left behind."""
    # a write takes milliseconds, but clocks of machines that share a folder may differ
    before = time.time() - _ABANDONED_SECONDS
    for path in folder.glob("*/.*.json.*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another study may clean it as well
            if path.stat().st_mtime < before:
                path.unlink()


def record_files(folder: Path) -> list[Path]:
    """The files that must be records: all JSON files beside one that is named like a run's."""
    folders = [f for f in sorted(folder.iterdir()) if f.is_dir()] if folder.is_dir() else []
    found = [sorted(f.glob("[!.]*.json")) for f in folders]
    runs = [files for files in found if any(_RUN_FILE.fullmatch(p.name) for p in files)]
    return [path for files in runs for path in files]


def _no_record(where: str, why: str) -> RecordError:
    return RecordError(
        f"'{where}' is not the record of a run: {why}. Move it away; a run whose record is lost "
        "is done again by the next 'suite run'."
    )
