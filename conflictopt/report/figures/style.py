"""What the panels look alike in: colours, names, legends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito 2008: told apart by people with any form of colour blindness."""
DASHES = ("-", "--", "-.", ":")
CONFLICT = "#D55E00"
DIVERGING = "PuOr"
"""Negative cosines in the colour of conflict."""
SMALL = 8.5
_NAME = 26
_LEGEND = 62


def line_style(number: int) -> dict[str, object]:
    """Of the curve with this number: its colour, and another dash when colours come again."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[number % len(COLOURS)], "ls": dash}


def short(name: str, most: int = _NAME) -> str:
    """A long name without its middle: beginning and end tell names apart."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def pair_name(first: str, second: str, most: int = _NAME) -> str:
    """Two losses, each shortened."""
    return f"{short(first, most)} / {short(second, most)}"


def title(axes: Axes, text: str) -> None:
    """At the left, where one reads first."""
    axes.set_title(text, loc="left", fontsize=10.5, fontweight="bold")


def bare(axes: Axes) -> None:
    """No frame above and at the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)


def plain_ticks(axis: Axis) -> None:
    """Of a logarithmic axis: 1, 2, 5, 10 rather than powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    steps = (1.0, 2.0, 5.0) if decades < 2 else (1.0, 3.0) if decades < 4 else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


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
