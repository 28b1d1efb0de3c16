"""What methods would have chosen along the profile."""

from __future__ import annotations

from ...diagnosis.replay_result import Replay
from ..content import Findings
from ..glossary import share
from . import parts

_METHODS = ("method", "other direction", "cosine to the sum", "length", "losses it would harm")


def replayed(findings: Findings) -> str:
    """What methods would have chosen."""
    if not findings.replays:
        return ""
    names = findings.diagnosis.profile.names
    angle = findings.replays[0].angle
    return parts.section(
        "What would other methods have done?",
        parts.paragraph(
            "Each method was asked at every sample of the profile which step it would have taken "
            "from these gradients. That shows how far it departs from the plain sum here; it is "
            "not a training run, and does not show which method trains best. 'Other direction' "
            f"counts the samples at which its step points more than {angle:g} degrees away from "
            "the plain sum's; cosine and length (as a multiple of the plain step) are medians. "
            "'Losses it would harm' counts the samples at which the step would raise a loss."
        ),
        parts.table(_METHODS, [_method(r) for r in findings.replays], words=(0, 4)),
        parts.subtitle("What each loss is multiplied by"),
        parts.paragraph("Median, and in brackets from the 10% to the 90% quantile.", "note"),
        parts.table(("method", *names), [_coefficients(r) for r in findings.replays]),
    )


def _method(replay: Replay) -> tuple[str, ...]:
    summary = replay.to_json()
    harmed = [
        f"{loss['name']} {share(loss['conflicts_after'])}"
        for loss in summary["losses"]
        if loss["conflicts_after"] > 0
    ]
    return (
        replay.method,
        share(replay.frequency),
        _number(summary["cosine_to_sum"], "{:+.2f}"),
        _number(summary["length_ratio"], "{:.3g}"),
        ", ".join(harmed) or "none",
    )


def _coefficients(replay: Replay) -> tuple[str, ...]:
    low, middle, high = (replay.quantile(q) for q in (0.1, 0.5, 0.9))
    cells = zip(low, middle, high, strict=True)
    return (replay.method, *(f"{m:.3g} ({a:.3g} to {b:.3g})" for a, m, b in cells))


def _number(value: float | None, shape: str) -> str:
    return "-" if value is None else shape.format(value)
