"""The report in short, for a terminal: verdict, what to do, how sure, the numbers."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnosis.numbers import DiagnosisNumbers
from ..wording import counted, percent, shortened
from .content import ReportContent
from .measured_words import (
    CHECK_HEADINGS,
    agreement_sentence,
    by_conflict,
    certainty_sentence,
    check_note,
    check_rows,
    conflict_sentence,
)
from .parts import Lines, Part, Passage, ReportTable
from .verdict import explanation, headline

_NAME = 19
"""Characters of a loss's name: then a pair and its numbers fit."""
_PAIRS = ("pair (all | 2nd half)", "in conflict", "mean cosine", "severity", "longest run", "")
_LOSSES = ("loss (all | 2nd half)", "first value", "last value", "gradient norm")
_PAIRS_SHOWN = 5
"""A terminal has few lines; the page shows all pairs."""


def summary(content: ReportContent) -> Iterator[Part]:
    """What a person reads first; the page has all of it."""
    yield from _verdict(content)
    yield from _certainty(content.diagnosis)
    yield from _numbers(content.diagnosis)
    for note in content.notes:
        yield Passage(note, "Left out:")


def _verdict(content: ReportContent) -> Iterator[Part]:
    diagnosis, advice = content.diagnosis, content.advice
    decided = not (diagnosis.too_short or diagnosis.too_close)
    yield Passage(headline(diagnosis), "Verdict:", diagnosis.regime if decided else "undecided")
    yield Passage(" ".join((explanation(diagnosis), *content.remarks)))
    yield Passage()
    if content.done:
        yield Passage(content.done, "This run:")
    yield Passage(advice.action, "The plan:" if content.done else "What to do:")
    yield Lines(advice.lines)
    yield Passage(advice.basis, "Why:")


def _certainty(diagnosis: DiagnosisNumbers) -> Iterator[Part]:
    if diagnosis.pairs:
        yield Passage()
        yield Passage(certainty_sentence(diagnosis), "How sure:")
        rows = tuple(check_rows(diagnosis))
        yield ReportTable("", CHECK_HEADINGS, rows, check_note(diagnosis))


def _numbers(diagnosis: DiagnosisNumbers) -> Iterator[Part]:
    if diagnosis.pairs:
        yield _pair_table(diagnosis)
    yield _loss_table(diagnosis)
    if diagnosis.pairs:
        yield Passage(f"{agreement_sentence(diagnosis)} {conflict_sentence(diagnosis)}")


def _pair_table(diagnosis: DiagnosisNumbers) -> ReportTable:
    order = by_conflict(diagnosis)
    rows = tuple(
        (
            f"{shortened(p.first, _NAME)} / {shortened(p.second, _NAME)}",
            f"{percent(p.conflict)} | {percent(p.conflict_late):>4}",
            f"{p.cosine:+.2f} | {p.cosine_late:+.2f}",
            f"{p.severity:.2f}",
            str(p.longest_run),
            "faded" if p.transient else "",
        )
        for p in order[:_PAIRS_SHOWN]
    )
    hidden = len(order) - _PAIRS_SHOWN
    note = f"and {counted(hidden, 'pair')} with less conflict" if hidden > 0 else ""
    return ReportTable("", _PAIRS, rows, note)


def _loss_table(diagnosis: DiagnosisNumbers) -> ReportTable:
    rows = tuple(
        (
            shortened(s.name, _NAME),
            f"{s.first:.3g}",
            f"{s.last:.3g}",
            f"{s.norm:.3g} | {s.norm_late:8.3g}" if s.norm else "no gradient",
        )
        for s in diagnosis.losses
    )
    return ReportTable("", _LOSSES, rows)
