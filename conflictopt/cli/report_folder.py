"""Where a report goes: never over files of another origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .._version import __version__
from ..core.errors import ConflictOptError

NAME = "report.json"
_MARK = "conflictopt"
_SHOWN = 3


def marked(content: dict[str, Any]) -> dict[str, Any]:
    """What ``report.json`` says, and that it is ours."""
    return {_MARK: __version__, **content}


def check_free(folder: Path) -> None:
    """See to it that a report may be written: before training, not after it.

    A new folder, an empty one, and one with reports of ours may be written to. Another is refused:
    a numbered one in its place would be found neither by the scripts that read reports nor by the
    next command.

    Raises:
        ConflictOptError: a file, or a folder that holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ConflictOptError(f"expected --out as a folder, found a file: '{folder}'.")
    if not _free(folder):
        found = sorted(path.name for path in folder.iterdir())
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        listed = ", ".join(f"'{name}'" for name in found[:_SHOWN])
        raise ConflictOptError(
            f"expected '{folder}' as a new folder or one with a report of conflictopt, found other "
            f"files in it: {listed}{more}. Name another one for the report: --out FOLDER."
        )


def _free(folder: Path) -> bool:
    """Also of what a run left that was stopped: reports in folders, and none beside them."""
    if not folder.exists() or _is_ours(folder / NAME):
        return True
    return all(path.is_dir() and _free(path) for path in folder.iterdir())


def _is_ours(path: Path) -> bool:
    try:
        return _MARK in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
