"""The command line of a study that writes tables into a document."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .drawn import save, shows
from .sections import refreshed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def main(
    description: str | None,
    script: str,
    document: Path,
    run: Callable[[int], None],
    sections: Callable[[], Iterable[tuple[str, str]]],
    pictures: Callable[[], Iterable[tuple[Path, Figure]]] = tuple,
) -> None:
    """Run what has no record, then write the tables; or do a part of that, as the options say.

    Args:
        description: for ``--help``.
        script: the command, which marks its tables.
        document: with the tables.
        run: does the runs, on so many workers.
        sections: makes names and tables from the records.
        pictures: makes figures, with the files that they are written to.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="write the tables, run nothing")
    parser.add_argument("--check", action="store_true", help="fail if a table is stale")
    options = parser.parse_args()
    if not (options.table or options.check):
        run(options.workers)
    text = refreshed(document, script, sections())
    stale = [(path, figure) for path, figure in pictures() if not shows(path, figure)]
    if options.check:
        sys.exit(int(bool(stale) or text != document.read_text(encoding="utf-8")))
    document.write_text(text, encoding="utf-8")
    for path, figure in stale:
        save(figure, path)


def write_tables(
    document: Path, script: str, sections: Iterable[tuple[str, str]], check: bool
) -> None:
    """Write the tables of a script into a document.

    Args:
        document: with the tables.
        script: the command, which marks them.
        sections: names and tables.
        check: write nothing, and end the program with 1 if a table is stale, else with 0.
    """
    text = refreshed(document, script, sections)
    if check:
        sys.exit(int(text != document.read_text(encoding="utf-8")))
    document.write_text(text, encoding="utf-8")
