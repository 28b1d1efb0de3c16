"""``suite pack``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape


def pack(
    study: Path, out: Path | None, without_profiles: bool, replace: bool, remove: bool
) -> None:
    """Pack the records of a study, and say where they are now."""
    from ..lab.runs.packing import pack as packed

    made = packed(study, out, profiles=not without_profiles, replace=replace, remove=remove)
    megabytes = made.path.stat().st_size / 1e6
    removed = f"; {made.removed} removed from the folder" if remove else ""
    Console(highlight=False).print(
        f"{made.records} records, {made.added} of them new, in {escape(str(made.path))} "
        f"({megabytes:.1f} MB){removed}.",
        soft_wrap=True,
    )
