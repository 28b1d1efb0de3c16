"""Put the records of a study into one file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from .packs import SUFFIX, Records, folder_of, pack_of, packed_records, read_pack, write_pack
from .records import RecordError, read, read_folder, record_files
from .stored import alike, joined


@dataclass(frozen=True)
class Packing:
    """What was packed.

    Attributes:
        path: of the packed file.
        records: in it.
        added: those that the study's packed file did not have before.
        removed: records that were removed from the folder.
    """

    path: Path
    records: int
    added: int
    removed: int


def pack(
    study: Path,
    out: Path | None = None,
    *,
    profiles: bool = True,
    replace: bool = False,
    remove: bool = False,
) -> Packing:
    """Put the records of a study into one file: those of its folder, and those packed before.

    Args:
        study: its folder, or its packed file.
        out: the file; the study's packed file, beside its folder, unless given.
        profiles: keep the raw profiles of plain runs, by far the largest part of the records.
        replace: let the folder's records take the place of others that were packed of the same
            runs.
        remove: when all is written and read back, remove the records from the folder.

    Raises:
        RecordError: no record; a file in the folder that is none; a record that contradicts a
            packed one, without ``replace``; an ``out`` of another name, or with records of which
            the study has none, or others.
    """
    folder, target = folder_of(study), out or pack_of(study)
    if not target.name.endswith(SUFFIX):
        raise RecordError(f"expected a packed file named *{SUFFIX}, found '{target}'.")
    _refuse_foreign_files(folder)
    files, packed = read_folder(folder), packed_records(folder)
    records = joined(files, packed, folder, replace=replace)
    if not records:
        raise RecordError(f"expected records of a study in '{folder}', found none to pack.")
    if target.exists() and target.resolve() != pack_of(folder).resolve():
        _refuse_other_records(target, records)
    kept = records.values() if profiles else [{**r, "profile": None} for r in records.values()]
    write_pack(target, kept)
    removed = _remove(folder, files) if remove else 0
    return Packing(target, len(records), len(records.keys() - packed.keys()), removed)


def _refuse_foreign_files(folder: Path) -> None:
    """A packed study is to hold all that its folder does, but folders without records (reports)."""
    records = record_files(folder)
    inside = [path for parent in {p.parent for p in records} for path in parent.iterdir()]
    loose = [p for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    foreign = {p for p in (*inside, *loose) if not p.name.startswith(".")} - set(records)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise RecordError(
            f"expected nothing but records in '{folder}', found '{min(foreign)}'{more}. Move what "
            "is no record elsewhere, then pack."
        )


def _refuse_other_records(target: Path, records: Records) -> None:
    there = read_pack(target)
    other = [p for p, r in there.items() if p not in records or not alike(r, records[p])]
    if other:
        raise RecordError(
            f"expected no other study in '{target}', found {len(other)} records that are not of "
            f"this one, such as {min(other)}. Choose another file with --out."
        )


def _remove(folder: Path, files: Records) -> int:
    """Remove what was packed, unless a study that is going on has replaced it meanwhile."""
    places = [place for place, record in files.items() if read(folder / place) == record]
    for place in places:
        (folder / place).unlink()
    for parent in [*{folder / place.parent for place in places}, folder]:
        with contextlib.suppress(OSError):  # not empty: a report, or a new record
            parent.rmdir()
    return len(places)
