"""The parts of a report as plain text, 100 columns wide; needs nothing but Python."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from .parts import Lines, Part, Passage, ReportTable

WIDTH = 100
"""Columns that reports are made for; lines to be copied and tables of long names may be longer."""
_INDENT = "  "
_GAP = "   "
LABEL = 9
"""Characters of the label of a line to copy."""


def plain_text(parts: Iterable[Part]) -> str:
    """All parts, one below the other."""
    return "\n".join(line.rstrip() for part in parts for line in _lines(part)) + "\n"


def _lines(part: Part) -> Iterator[str]:
    if isinstance(part, Passage):
        yield from _wrapped(f"{part.label} {part.text}" if part.label else part.text)
    elif isinstance(part, Lines):
        for label, text, comment in part.lines:
            yield f"{_INDENT}{label:<{LABEL}}{text}" + (f"   # {comment}" if comment else "")
    else:
        yield from _table(part)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False) or [""]


def _table(table: ReportTable) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(table.headings, *table.rows, strict=True)]
    yield ""
    if table.title:
        yield _INDENT + table.title
    yield _row(table.headings, widths, table.words)
    yield _INDENT + "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    for row in table.rows:
        yield _row(row, widths, table.words)
    if table.note:
        yield from _wrapped(table.note)


def _row(cells: Sequence[str], widths: Sequence[int], words: Sequence[int]) -> str:
    placed = (
        cell.ljust(width) if column in words else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return _INDENT + _GAP.join(placed)
