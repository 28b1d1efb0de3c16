"""What a section of the report consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Csv:
    """A table of full precision, written to ``tables/NAME.csv``."""

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, written to ``figures/NAME.png``, with its caption in Markdown."""

    name: str
    caption: str
    figure: Figure

    @property
    def path(self) -> str:
        """Relative to the report."""
        return f"figures/{self.name}.png"


@dataclass(frozen=True, eq=False)
class ReportSection:
    """A section.

    Attributes:
        title: its heading, in plain text.
        paragraphs: Markdown blocks, or figures among them.
    """

    title: str
    paragraphs: tuple[str | Drawing, ...]
    tables: tuple[Csv, ...] = ()
