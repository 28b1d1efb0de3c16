"""What the panels of a diagnosis look alike in, beyond the style of all figures: names, legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...plotting import SMALL, VERMILION
from ...wording import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONFLICT = VERMILION
DIVERGING = "PuOr"
"""Negative cosines in the colour of conflict."""
NAME = 26
"""Characters of a name in a legend."""
_LEGEND = 62


def pair_name(first: str, second: str, most: int = NAME) -> str:
    """Two losses, each shortened."""
    return f"{shortened(first, most)} / {shortened(second, most)}"


def title(axes: Axes, text: str) -> None:
    """At the left, where one reads first."""
    axes.set_title(text, loc="left", fontsize=SMALL + 2, fontweight="bold")


def legend_below(axes: Axes) -> None:
    """As many columns as the names leave room for."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    columns = _columns(labels)
    axes.legend(
        handles,
        labels,
        ncols=columns,
        fontsize=SMALL,
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.13),
        frameon=False,
        handlelength=1.8,
        columnspacing=1.2,
        borderaxespad=0.0,
    )


def _columns(labels: Sequence[str]) -> int:
    longest = max(map(len, labels)) + 6
    return max(1, min(len(labels), _LEGEND // longest))
