"""The report for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..diagnosis.diagnosis import Diagnosis
from .content import Findings
from .figures.style import short
from .glossary import (
    CHECK_HEADINGS,
    agreement_sentence,
    by_conflict,
    certainty_sentence,
    check_note,
    check_rows,
    counted,
)
from .verdict import explanation, headline

WIDTH = 100
"""Columns that the report is made for; lines to be copied may be longer and are not broken."""
_COLOURS = {"persistent": "red", "magnitude": "yellow", "benign": "green"}
_NAME = 19
"""Characters of a loss's name: then a pair and its numbers fit."""
_PAIRS = ("pair (all | 2nd half)", "in conflict", "mean cosine", "severity", "longest run", "")
_LOSSES = ("loss (all | 2nd half)", "first value", "last value", "gradient norm")
_PAIRS_SHOWN = 5
"""A terminal has few lines; the page shows all pairs."""


def plain_text(findings: Findings) -> str:
    """The report without colours."""
    console = Console(
        file=io.StringIO(),
        width=WIDTH,
        color_system=None,
        highlight=False,
        force_jupyter=False,  # else rich displays HTML there, and writes nothing
    )
    print_report(console, findings)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def print_report(console: Console, findings: Findings) -> None:
    """Verdict, what to do, how sure, the numbers."""
    width = min(console.width, WIDTH)
    for part in _verdict(findings):
        console.print(part, width=width)
    for label, text, comment in findings.advice.lines:
        # never broken: to be copied
        line = Text.assemble(f"  {label:<9}", (text, "bold"))
        line.append(f"   # {comment}" if comment else "", style="dim")
        console.print(line, soft_wrap=True)
    for part in _numbers(findings):
        console.print(part, width=width)


def _verdict(findings: Findings) -> Iterator[RenderableType]:
    diagnosis, advice = findings.diagnosis, findings.advice
    decided = not (diagnosis.too_short or diagnosis.too_close)
    colour = _COLOURS[diagnosis.regime] if decided else "yellow"
    yield Text.assemble("Verdict: ", (headline(diagnosis), f"bold {colour}"))
    yield Text(" ".join((explanation(diagnosis), *findings.remarks)))
    yield Text()
    if findings.done:
        yield Text.assemble(("This run: ", "bold"), findings.done)
    label = "The plan: " if findings.done else "What to do: "
    yield Text.assemble((label, "bold"), advice.action)


def _numbers(findings: Findings) -> Iterator[RenderableType]:
    diagnosis = findings.diagnosis
    yield Text.assemble(("Why: ", "bold"), findings.advice.basis)
    if diagnosis.pairs:
        yield Text()
        yield Text.assemble(("How sure: ", "bold"), certainty_sentence(diagnosis))
        yield _check_table(diagnosis)
        yield Text(check_note(diagnosis), style="dim")
        yield _pair_table(diagnosis)
    yield _loss_table(diagnosis)
    if diagnosis.pairs:
        yield Text(agreement_sentence(diagnosis))
    for note in findings.notes:
        yield Text(f"Left out: {note}")


def _check_table(diagnosis: Diagnosis) -> RenderableType:
    return _table(CHECK_HEADINGS, check_rows(diagnosis))


def _pair_table(diagnosis: Diagnosis) -> RenderableType:
    order = by_conflict(diagnosis)
    rows = [
        (
            f"{short(p.first, _NAME)} / {short(p.second, _NAME)}",
            f"{p.conflict:.0%} | {p.conflict_late:4.0%}",
            f"{p.cosine:+.2f} | {p.cosine_late:+.2f}",
            f"{p.severity:.2f}",
            str(p.longest_run),
            "faded" if p.transient else "",
        )
        for p in order[:_PAIRS_SHOWN]
    ]
    hidden = len(order) - _PAIRS_SHOWN
    caption = f"and {counted(hidden, 'pair')} with less conflict" if hidden > 0 else None
    return _table(_PAIRS, rows, caption)


def _loss_table(diagnosis: Diagnosis) -> RenderableType:
    rows = [
        (
            short(s.name, _NAME),
            f"{s.first:.3g}",
            f"{s.last:.3g}",
            f"{s.norm:.3g} | {s.norm_late:8.3g}" if s.norm else "no gradient",
        )
        for s in diagnosis.losses
    ]
    return _table(_LOSSES, rows)


def _table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str | None = None
) -> RenderableType:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        caption=caption,
        caption_justify="left",
    )
    for number, heading in enumerate(headings):
        # in a narrow terminal words are broken, not numbers
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(heading, justify=justify, no_wrap=number > 0)
    for row in rows:
        # as text: names may look like markup
        table.add_row(*map(Text, row))
    return Padding(table, (1, 0, 0, 2), expand=False)
