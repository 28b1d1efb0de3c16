"""The sections below the verdict; each is empty where there is nothing to say."""

from __future__ import annotations

from collections.abc import Mapping

from ..content import Findings
from ..glossary import (
    CHECK_HEADINGS,
    REGIMES,
    agreement_sentence,
    by_conflict,
    certainty_sentence,
    check_note,
    check_rows,
    share,
)
from . import parts

_PAIRS = (
    "pair (all | 2nd half)",
    "in conflict",
    "mean cosine",
    "severity",
    "longest run",
    "autocorrelation",
    "correlation time",
    "",
)
_TIMES = (
    "Longest run and correlation time are counted in samples. The correlation time is how many "
    "successive samples say about as much as one independent sample."
)
_LOSSES = ("loss", "first value", "last value", "gradient norm", "2nd half")
_LAYERS = ("layer", "share", "norm ratio", "survives the sum", "alignment", "most opposed pair", "")


def certainty(findings: Findings, images: Mapping[str, bytes]) -> str:
    """How sure the verdict is."""
    diagnosis = findings.diagnosis
    if not diagnosis.pairs:
        return ""
    shares = [(REGIMES[name], share(value)) for name, value in diagnosis.odds.items()]
    return parts.section(
        "How sure is that?",
        parts.labelled("Confidence:", certainty_sentence(diagnosis)),
        parts.table(("verdict", "share of the resamplings"), shares) if shares else "",
        parts.table(CHECK_HEADINGS, check_rows(diagnosis)),
        parts.paragraph(check_note(diagnosis), "note"),
        parts.image(
            images["checks"],
            "The checks against their thresholds, and how often each pair conflicts",
            "Left: each number (point) with its 90% interval (bar). The dashed line is the "
            "threshold; the check holds where it is shaded. Right: every pair of losses.",
        ),
    )


def numbers(findings: Findings, images: Mapping[str, bytes]) -> str:
    """Pairs, losses, agreement, and how all of it went over the steps."""
    diagnosis = findings.diagnosis
    pairs = [
        (
            f"{p.first} / {p.second}",
            f"{p.conflict:.0%} | {p.conflict_late:.0%}",
            f"{p.cosine:+.2f} | {p.cosine_late:+.2f}",
            f"{p.severity:.2f}",
            p.longest_run,
            f"{p.autocorrelation:+.2f}",
            f"{p.correlation_time:.1f}",
            "faded" if p.transient else "",
        )
        for p in by_conflict(diagnosis)
    ]
    losses = [
        (s.name, *(f"{v:.3g}" for v in (s.first, s.last, s.norm, s.norm_late)))
        for s in diagnosis.losses
    ]
    return parts.section(
        "What was measured",
        parts.image(
            images["series"],
            "Cosines between gradients and gradient norms over the steps",
            "Cosines: bold lines are running means, faint ones the samples themselves. The second "
            "half of the profile decides; what the losses do at the very start often passes.",
        ),
        parts.table(_PAIRS, pairs) if pairs else "",
        parts.paragraph(_TIMES, "note") if pairs else "",
        parts.paragraph(agreement_sentence(diagnosis)) if pairs else "",
        parts.table(_LOSSES, losses),
    )


def layers(findings: Findings, images: Mapping[str, bytes]) -> str:
    """Where in the network the losses conflict."""
    if "layers" not in images:
        return ""
    rows = []
    for block in findings.diagnosis.blocks:
        worst = min(block.pairs, key=lambda p: p.cosine_late)
        rows.append(
            (
                block.name,
                f"{block.share:.0%}",
                f"{block.norm_ratio:.3g}",
                f"{block.agreement.cancellation_late:.0%}",
                f"{block.agreement.alignment_late:+.2f}",
                f"{worst.first} / {worst.second}",
                f"{worst.cosine_late:+.2f}",
            )
        )
    return parts.section(
        "Where in the network?",
        parts.paragraph(
            "The same numbers for each layer alone. A conflict in all layers is one of the whole "
            "network; one in a few layers says where the losses want different things. The share "
            "is how much of the gradients lies in the layer."
        ),
        parts.image(images["layers"], "Mean cosine of every pair in every layer", ""),
        parts.table(_LAYERS, rows, words=(0, 5)),
    )


def further(findings: Findings) -> list[str]:
    """Tables made elsewhere."""
    return [
        parts.section(t.title, parts.paragraph(t.note), parts.table(t.headings, t.rows))
        for t in findings.tables
    ]
