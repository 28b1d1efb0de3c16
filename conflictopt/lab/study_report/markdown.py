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


def number(value: float | None, digits: int = 3) -> str:
    """A number with some significant digits; a dash for ``None``."""
    if value is None:
        return "-"
    return f"{value:#.{digits}g}".rstrip(".").replace("e-0", "e-").replace("e+0", "e")


def percent(share: float | None) -> str:
    """A share as a percentage; a dash for ``None``."""
    return "-" if share is None else f"{share:.0%}"


def probability(p: float | None) -> str:
    """A p value; a dash for ``None``."""
    if p is None:
        return "-"
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def times(ratio: float | None) -> str:
    """A ratio with its sign, as in ``0.83x``; a dash for ``None``."""
    return "-" if ratio is None else f"{number(ratio)}x"


def count(n: int, noun: str) -> str:
    """``1 problem``, ``2 problems``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def joined(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def slug(heading: str) -> str:
    """The anchor that a heading gets, as on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
