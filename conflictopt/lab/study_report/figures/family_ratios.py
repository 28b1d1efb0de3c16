"""Ratios to the baseline with their intervals, one panel per family."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ....plotting import SMALL, WIDTH, new_figure, plain_numbers, tidy
from ....wording import counted
from .. import family
from ..statistics.ratios import MethodRatio
from ..study_findings import StudyFindings
from .method_styles import styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4


def family_ratios(findings: StudyFindings) -> Figure:
    """Dots at the geometric-mean ratio, bars over the 95% interval, on one logarithmic axis."""
    study = findings.study
    panels: list[str | None] = [None, *study.families] if len(study.families) > 1 else [None]
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    methods = study.others[::-1]
    height = rows * (0.65 + 0.165 * max(4, len(methods))) + 0.3
    figure = new_figure(height, WIDTH if columns > 1 else 4.5)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    grid[0, 0].set_xscale("log")  # of all: they share the axis
    grid[0, 0].set_xlim(*_limits(findings))
    for axes, name in zip(grid.flat, panels, strict=False):
        found = [findings.ratio(m, name) for m in methods]
        title = "All problems" if name is None else family.title(name)
        size = counted(len(study.members(name)), "problem")
        axes.set_title(f"{title}\n{size}", fontsize=SMALL, linespacing=1.2)
        _dots(axes, findings, [r for r in found if r is not None])
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    for axes in grid.flat:
        axes.set_yticks(range(len(methods)), methods)
        axes.set_ylim(-0.6, len(methods) - 0.4)
        axes.axvline(1, color="0.5", lw=0.8, zorder=0)
        plain_numbers(axes.xaxis)
        tidy(axes)
        axes.tick_params(axis="y", length=0)
    figure.supxlabel(f"error relative to {study.baseline} (bars: 95% interval)", fontsize=SMALL + 1)
    return figure


def _limits(findings: StudyFindings) -> tuple[float, float]:
    """Room for all dots and bars, and for a factor of 2 in both directions at least."""
    ends = [0.5, 2.0]
    for found in findings.ratios:
        if found.ratio is not None:
            bar = found.ratio.interval
            ends += [found.ratio.value, *((bar.low, bar.high) if bar else ())]
    return min(ends) / 1.15, max(ends) * 1.15


def _dots(axes: Axes, findings: StudyFindings, ratios: list[MethodRatio]) -> None:
    look = styles(findings.study)
    for y, found in enumerate(ratios):
        axes.axhline(y, color="0.93", lw=0.7, zorder=0)
        if found.ratio is None:
            continue
        colour = str(look[found.method]["color"])
        if found.ratio.interval is not None:
            ends = found.ratio.interval
            axes.plot([ends.low, ends.high], [y, y], color=colour, lw=1.6, solid_capstyle="butt")
        face = colour if found.ratio.interval is not None else "white"
        axes.plot(found.ratio.value, y, "o", ms=4, mec=colour, mfc=face)
