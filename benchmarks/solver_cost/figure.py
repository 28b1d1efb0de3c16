"""The figure: time of our method / time of torchjd's, against the number of losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from ..documents.drawn import save
from .report import Row, rows

Record = dict[str, Any]

LINES = {
    "sum": ("#888888", "", "--"),
    "gramian": ("#000000", "", ":"),
    "pcgrad": ("#0b62a4", "o", "-"),
    "gradvac": ("#56b4e9", "s", "-"),
    "graddrop": ("#7f4f24", "^", "-"),
    "config": ("#d1495b", "o", "-"),
    "imtl_g": ("#f4a261", "s", "-"),
    "mgda": ("#1b7837", "o", "-"),
    "cagrad": ("#7b2d8b", "s", "-"),
    "nash_mtl": ("#d16ba5", "^", "-"),
    "aligned_mtl": ("#c7a700", "D", "-"),
    "upgrad": ("#111111", "o", "-"),
    "dualproj": ("#3cb7a0", "s", "-"),
}
"""Per method colour, marker and line style."""
DPI = 150


def draw(source: Path, target: Path) -> None:
    """Draw a results file.

    Args:
        source: JSON file of a run.
        target: PNG file; its folder is made.
    """
    save(figure_of(json.loads(source.read_text(encoding="utf-8"))), target)


def figure_of(found: Record) -> Figure:
    """One panel per number of parameters."""
    measured = [row for row in rows(found["cells"]) if "ratio" in row.cell]
    sizes = sorted({row.parameters for row in measured})
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold"}):
        inches = (1.6 + 2.9 * len(sizes), 4.6)
        figure = Figure(figsize=inches, dpi=DPI, facecolor="white", layout="constrained")
        panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, size in zip(panels, sizes, strict=True):
            _panel(axes, [row for row in measured if row.parameters == size])
            axes.set_title(f"{size:,} parameters".replace(",", " "))
        low, high = panels[0].get_ylim()
        panels[0].set_ylim(low / 1.3, max(high, 1) * 1.5)
        for axes in panels:
            _halves(axes)
        versions, threads = found["versions"], found["machine"]["threads"]
        panels[0].set_ylabel(
            f"time, conflictopt / torchjd {versions['torchjd']}\n"
            f"(median of pairs; {threads} CPU thread)"
        )
        figure.supxlabel("number of losses", fontsize=9)
        _legend(figure, {row.method for row in measured})
        figure.draw_without_rendering()  # ticks are made now, while their font size is set
    return figure


def _legend(figure: Figure, methods: set[str]) -> None:
    names = [name for name in LINES if name in methods]
    marks = [
        Line2D([], [], color=c, marker=m, linestyle=s, markersize=5)
        for c, m, s in (LINES[name] for name in names)
    ]
    figure.legend(marks, names, loc="outside right center", frameon=False)


def _panel(axes: Axes, measured: list[Row]) -> None:
    for name, (colour, marker, style) in LINES.items():
        points = sorted((r.losses, r.cell["ratio"][1]) for r in measured if r.method == name)
        if points:
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                marker=marker,
                linestyle=style,
                markersize=4.5,
                linewidth=1.5,
            )
    _scales(axes, sorted({row.losses for row in measured}))


def _scales(axes: Axes, counts: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}x"))
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _halves(axes: Axes) -> None:
    """Say what lies above and below 1, once the limits are set."""
    axes.axhspan(1, axes.get_ylim()[1], color="#fdeeee", zorder=0)
    axes.axhline(1, color="black", linewidth=1, zorder=1)
    for y, word, side in ((0.985, "conflictopt slower", "top"), (0.015, "faster", "bottom")):
        axes.text(0.03, y, word, transform=axes.transAxes, va=side, fontsize=8, color="#555555")
