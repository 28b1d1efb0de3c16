"""The numbers of a diagnosis as tables of its page."""

from __future__ import annotations

from ...diagnosis.numbers import DiagnosisNumbers
from ...wording import percent
from ..glossary import REGIMES
from ..measured_words import CHECK_HEADINGS, by_conflict, check_note, check_rows
from ..parts import ReportTable

_PAIRS = (
    *("pair (all | 2nd half)", "in conflict", "mean cosine", "severity", "longest run"),
    *("autocorrelation", "correlation time", ""),
)
_TIMES = (
    "Longest run and correlation time are counted in samples. The correlation time is how many "
    "successive samples say about as much as one independent sample."
)
_LOSSES = ("loss", "first value", "last value", "gradient norm", "2nd half")
_LAYERS = ("layer", "share", "norm ratio", "survives the sum", "alignment", "most opposed pair", "")


def odds_table(diagnosis: DiagnosisNumbers) -> ReportTable:
    """How often resamplings come to each verdict."""
    rows = tuple((REGIMES[name], percent(value)) for name, value in diagnosis.odds.items())
    return ReportTable("", ("verdict", "share of the resamplings"), rows)


def check_table(diagnosis: DiagnosisNumbers) -> ReportTable:
    """Every check with its interval and its threshold."""
    return ReportTable("", CHECK_HEADINGS, tuple(check_rows(diagnosis)), check_note(diagnosis))


def pair_table(diagnosis: DiagnosisNumbers) -> ReportTable:
    """Every pair of losses."""
    rows = tuple(
        (
            f"{p.first} / {p.second}",
            f"{percent(p.conflict)} | {percent(p.conflict_late)}",
            f"{p.cosine:+.2f} | {p.cosine_late:+.2f}",
            f"{p.severity:.2f}",
            str(p.longest_run),
            f"{p.autocorrelation:+.2f}",
            f"{p.correlation_time:.1f}",
            "faded" if p.transient else "",
        )
        for p in by_conflict(diagnosis)
    )
    return ReportTable("", _PAIRS, rows, _TIMES)


def loss_table(diagnosis: DiagnosisNumbers) -> ReportTable:
    """Every loss."""
    rows = tuple(
        (s.name, *(f"{v:.3g}" for v in (s.first, s.last, s.norm, s.norm_late)))
        for s in diagnosis.losses
    )
    return ReportTable("", _LOSSES, rows)


def layer_table(diagnosis: DiagnosisNumbers) -> ReportTable:
    """Every layer, with the pair that is most opposed in it."""
    rows = []
    for block in diagnosis.blocks:
        worst = min(block.pairs, key=lambda p: p.cosine_late)
        rows.append(
            (
                block.name,
                percent(block.share),
                f"{block.norm_ratio:.3g}",
                percent(block.agreement.cancellation_late),
                f"{block.agreement.alignment_late:+.2f}",
                f"{worst.first} / {worst.second}",
                f"{worst.cosine_late:+.2f}",
            )
        )
    return ReportTable("", _LAYERS, tuple(rows), words=(0, 5))
