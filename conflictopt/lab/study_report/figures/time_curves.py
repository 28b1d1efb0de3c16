"""Error against CPU time for a few problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....plotting import SMALL, WIDTH, new_figure, plain_numbers, tidy
from .. import family
from ..statistics.examples import median_curve
from ..study_findings import StudyFindings
from .method_styles import styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def time_curves(findings: StudyFindings, problems: Sequence[str], methods: Sequence[str]) -> Figure:
    """One panel per problem; the median over seeds of time and error at the recorded steps."""
    study = findings.study
    columns = min(3, len(problems))
    rows = math.ceil(len(problems) / columns)
    figure = new_figure(rows * 2.1 + 0.5, WIDTH if columns > 1 else 4.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    look = styles(study)
    for axes, problem in zip(grid.flat, problems, strict=False):
        for method in methods:
            times, errors = median_curve(study.of(problem, method))
            if len(times):
                axes.plot(times, errors, label=method, **look[method])
        _dress(axes, problem, family.title(study.family_of[problem]))
    for axes in list(grid.flat)[len(problems) :]:
        axes.set_visible(False)
    handles = {
        label: handle
        for axes in grid.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        [handles[m] for m in methods if m in handles],
        [m for m in methods if m in handles],
        loc="outside upper center",
        ncols=4,
        fontsize=SMALL,
        frameon=False,
        handlelength=2.6,
    )
    figure.supxlabel("CPU time of training, s", fontsize=SMALL + 1)
    figure.supylabel("relative L2 error", fontsize=SMALL + 1)
    return figure


def _dress(axes: Axes, problem: str, title: str) -> None:
    axes.set_yscale("log")
    axes.set_title(f"{problem}\n{title}", fontsize=SMALL)
    plain_numbers(axes.yaxis)
    tidy(axes)
    axes.tick_params(which="both", labelsize=SMALL - 0.5)
    axes.grid(color="0.92", lw=0.6)
    axes.set_axisbelow(True)
