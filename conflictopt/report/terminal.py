"""The parts of a report in a terminal, with colours."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .content import ReportContent
from .parts import Line, Lines, Part, Passage, ReportTable, Tone
from .plain_text import LABEL, WIDTH
from .summary import summary

_STYLES: dict[Tone, str] = {
    "plain": "",
    "note": "dim",
    "persistent": "bold red",
    "magnitude": "bold yellow",
    "benign": "bold green",
    "undecided": "bold yellow",
}


def print_report(console: Console, content: ReportContent) -> None:
    """Verdict, what to do, how sure, the numbers."""
    print_parts(console, summary(content))


def print_parts(console: Console, parts: Iterable[Part]) -> None:
    """All parts, one below the other."""
    width = min(console.width, WIDTH)
    for part in parts:
        if isinstance(part, Passage):
            label = (f"{part.label} " if part.label else "", "bold")
            console.print(Text.assemble(label, (part.text, _STYLES[part.tone])), width=width)
        elif isinstance(part, Lines):
            for line in part.lines:
                console.print(_copied(line), soft_wrap=True)
        else:
            console.print(_table(part), width=width)
            if part.note:
                console.print(Text(part.note, style=_STYLES["note"]), width=width)


def _copied(line: Line) -> Text:
    found = Text.assemble(f"  {line.label:<{LABEL}}", (line.text, "bold"))
    return found.append(f"   # {line.comment}" if line.comment else "", style="dim")


def _table(part: ReportTable) -> RenderableType:
    table = Table(
        title=Text(part.title) if part.title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for number, heading in enumerate(part.headings):
        # in a narrow terminal words are broken, not numbers
        left = number in part.words
        table.add_column(
            Text(heading), justify="left" if left else "right", no_wrap=number > 0 or not left
        )
    for row in part.rows:
        # as text: names may look like markup
        table.add_row(*map(Text, row))
    return Padding(table, (1, 0, 0, 2), expand=False)
