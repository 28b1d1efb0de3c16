"""Figures without a window or global state, and the colours of methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..label import is_auto
from ..study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DPI = 150
SMALL = 7.5
"""Points; figures are as wide as a page, so this is what is printed."""
WIDTH = 7.2
"""Inches."""
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D1F")
"""Okabe, Ito 2008, without black (the baseline) and vermilion (auto); yellow darkened."""
_SHORT = 50.0
"""Largest over smallest value up to which a logarithmic axis gets ticks at 2 and 5."""
_DASHES = ("-", "--", ":", "-.")


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """A figure on a canvas of its own; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def styles(study: Study) -> dict[str, dict[str, object]]:
    """Colour and dashes of each method, the same in every figure.

    The baseline is black, ``auto`` vermilion and thicker; others go through the colours, then
    through the dashes.
    """
    found: dict[str, dict[str, object]] = {}
    plain = [m for m in study.others if not is_auto(m)]
    for i, method in enumerate(plain):
        colour, dash = _COLOURS[i % len(_COLOURS)], _DASHES[i // len(_COLOURS) % len(_DASHES)]
        found[method] = {"color": colour, "linestyle": dash, "linewidth": 1.3}
    autos = [m for m in study.others if is_auto(m)]
    for i, method in enumerate(autos):
        dash = _DASHES[i % len(_DASHES)]
        found[method] = {"color": "#D55E00", "linestyle": dash, "linewidth": 2.2, "zorder": 5}
    if study.has_baseline:
        found[study.baseline] = {"color": "black", "linewidth": 1.8, "zorder": 4}
    return found


def tidy(axes: Axes) -> None:
    """Small labels, no frame on the right and at the top."""
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def plain_numbers(axis: Axis) -> None:
    """A logarithmic axis with few ticks, at 1, 2 and 5 over short ranges, written as numbers.

    Call it when the limits are final.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high / low < _SHORT else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(NullLocator())
