"""What every report is laid out from: passages, tables, lines to copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Tone = Literal["plain", "note", "persistent", "magnitude", "benign", "undecided"]
"""How a passage is shown where there are colours."""


@dataclass(frozen=True)
class Passage:
    """A paragraph; without words an empty line.

    Attributes:
        text: the words.
        label: what they begin with, set apart.
        tone: how they are meant.
    """

    text: str = ""
    label: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class ReportTable:
    """A table.

    Attributes:
        title: above it, or of its section; empty for none.
        headings: of its columns.
        rows: cells as text, as many as headings.
        note: what it says, in a sentence or two.
        words: columns of words, at the left; all others hold numbers, at the right.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    words: tuple[int, ...] = (0,)


class Line(NamedTuple):
    """Something to copy."""

    label: str
    text: str
    comment: str = ""


@dataclass(frozen=True)
class Lines:
    """Commands and code, never broken."""

    lines: tuple[Line, ...]


Part = Passage | ReportTable | Lines
