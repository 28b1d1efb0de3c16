"""The records of a study, in its folder and in its packed file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .packs import Records, folder_of, pack_of, packed_records
from .records import RecordError, read_folder

Record = dict[str, Any]


def load(study: Path) -> list[Record]:
    """All records of a study, ordered by file name.

    Args:
        study: its folder, or its packed file; what either holds counts, see ``joined``.

    Raises:
        RecordError: neither is there, or there is no record; a file that is damaged or no record;
            records that contradict each other.
    """
    folder, pack = folder_of(study), pack_of(study)
    if not folder.is_dir() and not pack.is_file():
        raise RecordError(
            f"expected the records of a study, found neither a folder '{folder}' nor a file "
            f"'{pack.name}' beside it."
        )
    records = joined(read_folder(folder), packed_records(folder), folder)
    if not records:
        raise RecordError(f"expected records in '{folder}', found none: no run has finished there.")
    return [records[place] for place in sorted(records, key=lambda place: place.parts)]


def joined(
    files: Mapping[Path, Record], packed: Records, folder: Path, *, replace: bool = False
) -> Records:
    """The records of a study's folder and of its packed file together.

    A run may have a record in both if they are alike; one that was packed without its profile is
    like the whole one, which then counts.

    Args:
        replace: the folder's record counts where they are not alike.

    Raises:
        RecordError: they are not alike, without ``replace``.
    """
    both = sorted(files.keys() & packed.keys())
    unlike = [place for place in both if not alike(files[place], packed[place])]
    if unlike and not replace:
        more = f" and {len(unlike) - 1} more" if len(unlike) > 1 else ""
        raise RecordError(
            f"expected one record of each run, found others in '{folder}' than in "
            f"'{pack_of(folder)}': {unlike[0]}{more}. Keep the folder's with "
            f"'conflictopt suite pack {folder} --replace', or move them away."
        )
    # the packed one is the whole one only where its profile is the only one
    fuller = [p for p in both if p not in unlike and packed[p].get("profile") is not None]
    return {**packed, **files, **{place: packed[place] for place in fuller}}


def alike(one: Record, other: Record) -> bool:
    """Whether two records are the same but for a profile that one of them may lack."""
    profiles = [r.get("profile") for r in (one, other)]
    same = None in profiles or profiles[0] == profiles[1]
    return same and {**one, "profile": None} == {**other, "profile": None}
