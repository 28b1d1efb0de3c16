"""The figure: cost of a step per contender, one panel per case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..documents.drawn import save

Record = dict[str, Any]

CASES = {
    "burgers": "Burgers\nDeepXDE",
    "kovasznay": "Kovasznay flow\nDeepXDE",
    "poisson10d": "Poisson in 10D\nDeepXDE",
    "torch_loop": "Burgers\ntorch loop",
    "torch_loop_width_50": "Burgers, width 50\ntorch loop",
}
COLOURS = {
    "torch": "#777777",
    "conflictopt": "#0b62a4",
    "torchjd": "#d1495b",
    "conflictfree": "#c77700",
}
TICKS = (1, 2, 4, 8)
DPI = 150


def draw(source: Path, target: Path) -> None:
    """Draw the main cases of a results file.

    Args:
        source: JSON file of a run.
        target: PNG file; its folder is made.
    """
    save(figure_of(json.loads(source.read_text(encoding="utf-8"))), target)


def figure_of(found: Record) -> Figure:
    """The main cases of a record."""
    cases = {n: found["cases"][n] for n in CASES if n in found["cases"]}
    rows = _rows(cases)
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 9, "axes.titleweight": "bold"}):
        figure = Figure(
            figsize=(13, 1.6 + 0.25 * len(rows)), dpi=DPI, facecolor="white", layout="constrained"
        )
        panels = figure.subplots(1, len(cases), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, case) in zip(panels, cases.items(), strict=True):
            _panel(axes, case, rows)
            axes.set_title(f"{CASES[name]}, {case['losses']} losses")
        _label_rows(panels[0], rows)
        figure.supxlabel(
            "time of one step / time of the plain step "
            f"(median, quartiles; {found['machine']['threads']} CPU thread)",
            fontsize=9,
        )
        _legend(figure, found["versions"])
        figure.draw_without_rendering()  # ticks are made now, while their font size is set
    return figure


def _legend(figure: Figure, versions: dict[str, str]) -> None:
    makers = {"torch": "plain step", **{m: f"{m} {versions[m]}" for m in list(COLOURS)[1:]}}
    marks = [Line2D([], [], color=COLOURS[m], marker="o", linewidth=2) for m in makers]
    figure.legend(marks, makers.values(), loc="outside upper center", ncols=4, frameon=False)


def _rows(cases: dict[str, Record]) -> dict[str, str]:
    """Every contender of any case and its maker; ours first, peers last."""
    makers = {n: c["maker"] for case in cases.values() for n, c in case["contenders"].items()}
    order = list(COLOURS)
    return dict(sorted(makers.items(), key=lambda item: order.index(item[1])))


def _panel(axes: Axes, case: Record, rows: dict[str, str]) -> None:
    for y, name in enumerate(rows):
        contender = case["contenders"].get(name)
        if contender is None:
            continue
        low, median, high = contender["ratio"]
        colour = COLOURS[contender["maker"]]
        axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(median, y, "o", color=colour, markersize=5)
        axes.annotate(
            f"{median:.2f}",
            (high, y),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
        )
    axes.axvline(1, color="black", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(0.7, 12)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}x"))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _label_rows(axes: Axes, rows: dict[str, str]) -> None:
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for label, maker in zip(axes.get_yticklabels(), rows.values(), strict=True):
        label.set_color(COLOURS[maker])
