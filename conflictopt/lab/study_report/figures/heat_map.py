"""Every problem and method: how its error compares with the baseline's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....plotting import SMALL, WIDTH, new_figure
from .. import family
from ..statistics.pairing import problem_ratios
from ..study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LIMIT = 1.0
"""Orders of magnitude at which the colours saturate."""
_ROW, _COLUMN = 0.165, 0.34
"""Inches."""
_NAMES, _FAMILY = 2.3, 1.1


def heat_map(study: Study) -> Figure:
    """Logarithm of the ratio to the baseline, problems by methods, by family.

    Blue is better than the baseline, red worse; a cross marks a failed or diverged run, grey
    a missing one.
    """
    methods = study.others
    ratios = {m: problem_ratios(study, m, study.baseline) for m in methods}
    table = np.full((len(study.problems), len(methods)), np.nan)
    for i, problem in enumerate(study.problems):
        for j, method in enumerate(methods):
            if problem in ratios[method]:
                table[i, j] = np.log10(ratios[method][problem])
    head = 0.075 * max(len(m) for m in methods) + 0.3
    width = max(4.6, _NAMES + _FAMILY + _COLUMN * len(methods))
    figure = new_figure(head + 1.0 + _ROW * len(study.problems), max(width, WIDTH * 0.7))
    axes = figure.subplots()
    _cells(axes, study, methods, table)
    _families(axes, study, len(methods))
    _scale(figure, axes)
    return figure


def _cells(axes: Axes, study: Study, methods: tuple[str, ...], table: np.ndarray) -> None:
    from matplotlib import colormaps

    colours = colormaps["RdBu_r"].with_extremes(bad="0.85")
    axes.imshow(table, cmap=colours, vmin=-_LIMIT, vmax=_LIMIT, aspect="auto")
    for i, problem in enumerate(study.problems):
        for j, method in enumerate(methods):
            if any(not r.finished for r in study.of(problem, method)):
                dark = abs(table[i, j]) > 0.6 * _LIMIT
                axes.plot(j, i, "x", color="white" if dark else "black", ms=4, mew=1)
    axes.set_xticks(range(len(methods)), methods, rotation=90, fontsize=SMALL)
    axes.set_yticks(range(len(study.problems)), study.problems, fontsize=SMALL - 0.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(methods) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(study.problems) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=0.8)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)


def _families(axes: Axes, study: Study, columns: int) -> None:
    start = 0
    for name in study.families:
        count = len(study.members(name))
        if start:
            axes.axhline(start - 0.5, color="black", lw=1)
        axes.text(
            columns - 0.5 + 0.02 * columns + 0.05,
            start + (count - 1) / 2,
            family.title(name).replace(", ", "\n"),
            fontsize=SMALL,
            va="center",
            ha="left",
            linespacing=1.1,
        )
        start += count


def _scale(figure: Figure, axes: Axes) -> None:
    bar = figure.colorbar(
        axes.images[0], ax=axes, orientation="horizontal", extend="both", aspect=40, pad=0.01
    )
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10]
    bar.set_ticks([float(np.log10(t)) for t in ticks], labels=[f"{t:g}" for t in ticks])
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("error relative to the baseline (x: a run failed; grey: no pair)", fontsize=SMALL)
