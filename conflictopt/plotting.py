"""The style that all figures share: sizes, colours, axes. Needs matplotlib when it draws.

Figures are made with matplotlib's object interface: no window, no global state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DPI = 150
WIDTH = 7.2
"""Inches: of a page."""
SMALL = 7.5
"""Points: of all but titles. Figures are as wide as a page, so this is what is printed."""

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Okabe and Ito 2008: told apart by people with any form of colour blindness."""
DASHES = ("-", "--", ":", "-.")
_SHORT = 5.0
"""Below, a logarithmic axis may lie between 2 and 5: it has evenly spaced ticks."""
_TICKS = ((50.0, (1.0, 2.0, 5.0)), (500.0, (1.0, 3.0)))
"""Largest over smallest value of a logarithmic axis, and the ticks within a decade up to there."""


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """A figure on a canvas of its own; sizes in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("report", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def line_style(number: int) -> dict[str, Any]:
    """Of the curve with this number: its colour, and another dash when colours come again."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": dash}


def tidy(axes: Axes) -> None:
    """Small labels, no frame on the right and at the top."""
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def plain_numbers(axis: Axis) -> None:
    """A logarithmic axis with few ticks, more of them over short ranges, written as numbers.

    Call it when the limits are final.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    within = next((ticks for limit, ticks in _TICKS if high / low < limit), (1.0,))
    short = high / low < _SHORT
    axis.set_major_locator(MaxNLocator(5) if short else LogLocator(subs=within, numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(NullLocator())
