"""The checks: each number with its interval against its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...diagnosis.checks import Check
from ...diagnosis.numbers import DiagnosisNumbers
from ...plotting import BLUE, SMALL, plain_numbers, tidy
from ..measured_words import check_rows
from .style import CONFLICT, pair_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_checks(rows: Sequence[Axes], diagnosis: DiagnosisNumbers) -> None:
    """One check per axes: point, 90 % interval, threshold, and shaded the side where it holds.

    Args:
        rows: as many as there are checks.
    """
    words, pair = check_rows(diagnosis), diagnosis.worst_pair
    for number, (axes, check, said) in enumerate(zip(rows, diagnosis.checks, words, strict=True)):
        _draw(axes, check)
        last = number == len(diagnosis.checks) - 1
        if last:
            axes.set_xscale("log")
        axes.set_xlim(*(_around(check) if last else ((0, 1), (-1, 1))[number]))
        of = f" ({pair_name(pair.first, pair.second, 15)})" if pair and not last else ""
        axes.set_title(f"{said.what}: {said.value}{of}", loc="left", fontsize=SMALL, pad=3)
        if last:
            plain_numbers(axes.xaxis)


def _draw(axes: Axes, check: Check) -> None:
    right = check.relation == ">="
    low, high = (check.threshold, 1e9) if right else (-1e9, check.threshold)
    axes.axvspan(low, high, color=CONFLICT, alpha=0.12, lw=0)
    place, side = (0.99, "right") if right else (0.01, "left")
    axes.text(
        place, 0.92, "holds", ha=side, va="top", color=CONFLICT, fontsize=SMALL,
        transform=axes.transAxes,
    )  # fmt: skip
    axes.axvline(check.threshold, color=CONFLICT, lw=1.5, ls="--")
    axes.plot([check.low, check.high], [0, 0], color=BLUE, lw=4, solid_capstyle="butt")
    axes.plot([check.value], [0], "o", color=BLUE, ms=8, mec="white", clip_on=False)
    axes.set(yticks=[], ylim=(-1, 1))
    tidy(axes)
    axes.spines["left"].set_visible(False)


def _around(check: Check) -> tuple[float, float]:
    """From 1, the smallest ratio there is, to beyond everything shown."""
    return 1.0, 3.0 * max(check.threshold, check.high, check.value)
