"""Records on disk: one JSON file per run, whole or not there at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import ConflictOptError
from ...core.plain_data import plain_data
from .place import record_path

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
    path.parent.mkdir(parents=True, exist_ok=True)
    # the name is this writer's own: two writers of one record must not share a file
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write("{\n" + ",\n".join(entries) + "\n}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        RecordError: the file is damaged, or something else than a record.
        OSError: it cannot be read.
    """
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise _no_record(path, f"it is no JSON: {error}") from None
    if not isinstance(record, dict):
        raise _no_record(path, f"it holds a {type(record).__name__}, not an object")
    wrong = [k for k, kind in _KEYS.items() if not isinstance(record.get(k), kind)]
    if wrong:
        raise _no_record(path, f"it has no {', '.join(wrong)}")
    return record


def load(folder: Path) -> list[dict[str, Any]]:
    """All records of a study, ordered by file name.

    Folders in it that hold no file named like a run's (a report, say) are not looked at, nor are
    the leftovers of interrupted writes; those that nobody can still be writing are removed.

    Raises:
        RecordError: no folder, or no record in it; a JSON file that is damaged, no record, or not
            in its place (a copy under another name would count twice).
    """
    if not folder.is_dir():
        raise RecordError(f"expected a folder of records, found none at '{folder}'.")
    clean(folder)
    records = []
    for path in _files(folder):
        record = read(path)
        place = record_path(folder, record)
        if place != path:
            raise _no_record(path, f"it is that of '{place}', of which it may be a copy")
        records.append(record)
    if not records:
        raise RecordError(f"expected records in '{folder}', found none: no run has finished there.")
    return records


def clean(folder: Path) -> None:
    """Remove what interrupted writes left behind."""
    # a write takes milliseconds, but clocks of machines that share a folder may differ
    before = time.time() - _ABANDONED_SECONDS
    for path in folder.glob("*/.*.json.*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another study may clean it as well
            if path.stat().st_mtime < before:
                path.unlink()


def _files(folder: Path) -> list[Path]:
    found = [sorted(f.glob("[!.]*.json")) for f in sorted(folder.iterdir()) if f.is_dir()]
    runs = [files for files in found if any(_RUN_FILE.fullmatch(p.name) for p in files)]
    return [path for files in runs for path in files]


def _no_record(path: Path, why: str) -> RecordError:
    return RecordError(
        f"'{path}' is not the record of a run: {why}. Move it away; a run whose record is lost "
        "is done again by the next 'suite run'."
    )
