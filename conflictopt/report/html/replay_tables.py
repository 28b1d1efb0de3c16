"""What methods would have chosen along the profile, as tables of the page."""

from __future__ import annotations

from ...diagnosis.replay_result import Replay
from ...wording import NOTHING, percent
from ..parts import ReportTable

_METHODS = ("method", "other direction", "cosine to the sum", "length", "losses it would harm")


def replay_table(replays: tuple[Replay, ...]) -> ReportTable | None:
    """How far each method departs from the plain sum; ``None`` of no method."""
    if not replays:
        return None
    return ReportTable("", _METHODS, tuple(map(_method, replays)), words=(0, 4))


def coefficient_table(names: tuple[str, ...], replays: tuple[Replay, ...]) -> ReportTable:
    """What each method multiplies each loss by."""
    note = "Median, and in brackets from the 10% to the 90% quantile."
    return ReportTable("", ("method", *names), tuple(map(_coefficients, replays)), note)


def _method(replay: Replay) -> tuple[str, ...]:
    summary = replay.to_json()
    harmed = [
        f"{loss['name']} {percent(loss['conflicts_after'])}"
        for loss in summary["losses"]
        if loss["conflicts_after"] > 0
    ]
    return (
        replay.method,
        percent(replay.frequency),
        _number(summary["cosine_to_sum"], "{:+.2f}"),
        _number(summary["length_ratio"], "{:.3g}"),
        ", ".join(harmed) or "none",
    )


def _coefficients(replay: Replay) -> tuple[str, ...]:
    low, middle, high = (replay.quantile(q) for q in (0.1, 0.5, 0.9))
    cells = zip(low, middle, high, strict=True)
    return (replay.method, *(f"{m:.3g} ({a:.3g} to {b:.3g})" for a, m, b in cells))


def _number(value: float | None, shape: str) -> str:
    return NOTHING if value is None else shape.format(value)
