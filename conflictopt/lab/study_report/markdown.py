"""Pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#~&])")
BAR = "\\|"
"""How a table writes the sign that divides its cells, in code as well."""
_RULES = {"l": ":---", "r": "---:", "c": ":---:"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """A table.

    Args:
        header, rows: cells that are Markdown already.
        align: ``l``, ``r`` or ``c`` per column; the last one holds for all further columns.
    """
    signs = align + align[-1] * (len(header) - len(align))
    lines = [_row(header), _row([_RULES[sign] for sign in signs]), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def code(text: str) -> str:
    """Verbatim text on one line."""
    line = " ".join(text.split())
    if "`" not in line:
        return f"`{line}`" if line else ""
    fence = "`" * (max(map(len, re.findall("`+", line))) + 1)
    return f"{fence} {line} {fence}"


def escape(text: str) -> str:
    """Text on one line, with all that Markdown would read as markup made plain."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def slug(heading: str) -> str:
    """The anchor that a heading gets, as on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
