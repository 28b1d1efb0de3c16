"""Packed studies: all records of a study in one file, one line each.

A study is a folder of records, the packed file beside it, or both: ``results`` and
``results.jsonl.gz``. Whoever is given one of the two reads both.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.plain_data import plain_data
from .place import record_path
from .records import RecordError, checked
from .whole_file import replacing

SUFFIX = ".jsonl.gz"
Records = dict[Path, dict[str, Any]]
"""Records by their place in the folder of the study."""


def folder_of(study: Path) -> Path:
    """The folder of a study that is given by its folder or by its packed file."""
    return study.with_name(study.name.removesuffix(SUFFIX))


def pack_of(study: Path) -> Path:
    """The packed file of a study that is given by its folder or by its packed file."""
    folder = folder_of(study)
    return folder.with_name(folder.name + SUFFIX)


def read_pack(path: Path) -> Records:
    """The records in a packed file.

    Raises:
        RecordError: it is damaged, holds something else than records, or one run twice.
        OSError: it cannot be read.
    """
    found: Records = {}
    for number, line in enumerate(_lines(path), start=1):
        record = checked(line, f"{path}, line {number}")
        place = record_path(Path(), record)
        if place in found:
            raise RecordError(f"expected every run once in '{path}', found '{place}' twice.")
        found[place] = record
    return found


def packed_records(study: Path) -> Records:
    """The packed records of a study; none where it has no packed file."""
    path = pack_of(study)
    return read_pack(path) if path.is_file() else {}


def write_pack(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records so that the file is there whole or not at all.

    They are ordered by their place, and the same records make the same bytes, whenever and under
    whatever name they are written. What was written is read again before it takes its name.

    Raises:
        RecordError: what was written does not come back.
    """
    kept = {record_path(Path(), r): plain_data(r, "null") for r in records}
    ordered = {place: kept[place] for place in sorted(kept, key=lambda place: place.parts)}
    with replacing(path) as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            for record in ordered.values():
                text = json.dumps(record, separators=(",", ":"), allow_nan=False)
                packed.write(text.encode() + b"\n")
        file.flush()
        if read_pack(Path(file.name)) != ordered:
            raise RecordError(f"'{path}' did not come back as it was written: is the disk sound?")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RecordError(
            f"expected '{path}' as a file of 'conflictopt suite pack', found it damaged: {error}. "
            "Take it from where it was copied, or move it away."
        ) from None
