"""How numbers and names are put into words: one way for every report, table and message.

Cells of tables have a dash where there is no number; sentences are not written without one.
"""

from __future__ import annotations

from collections.abc import Sequence

NOTHING = "-"
"""In the place of a number that there is none of."""


def number(value: float | None, digits: int = 3) -> str:
    """A number with some significant digits, ``0.500`` or ``1.23e-5``; a dash for ``None``."""
    if value is None:
        return NOTHING
    return f"{value:#.{digits}g}".rstrip(".").replace("e-0", "e-").replace("e+0", "e")


def percent(share: float | None) -> str:
    """A share in a cell, not rounded to all or nothing: ``>99%``, ``<1%``; a dash for ``None``."""
    if share is None:
        return NOTHING
    if 0.995 <= share < 1:
        return ">99%"
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def share(value: float) -> str:
    """A share in a sentence: ``percent`` with words for its signs."""
    return percent(value).replace(">", "more than ").replace("<", "less than ")


def probability(p: float | None) -> str:
    """A p value; a dash for ``None``."""
    if p is None:
        return NOTHING
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def factor(value: float) -> str:
    """How many times, in a sentence: in digits as long as one can read them."""
    if value < 999.5:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def times(ratio: float | None) -> str:
    """How many times, in a cell: ``0.830x``; a dash for ``None``."""
    return NOTHING if ratio is None else f"{number(ratio)}x"


def counted(count: int, noun: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def capital(words: str) -> str:
    """With a capital first letter."""
    return words[:1].upper() + words[1:]


def shortened(name: str, most: int) -> str:
    """A name of at most so many characters, without its middle: both ends tell names apart."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"
