"""The performance profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....plotting import SMALL, new_figure, plain_numbers, tidy
from ..statistics.performance import LARGEST_TAU, Performance
from ..study import Study
from .method_styles import styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def performance_curves(study: Study, performance: Performance) -> Figure:
    """Share of problems within a factor of the best method, by factor; methods as steps."""
    lines = len(study.methods)
    figure = new_figure(max(3.6, 0.5 + 0.16 * lines))
    axes = figure.subplots()
    look = styles(study)
    order = sorted(study.methods, key=lambda m: -_area(performance, m))
    for method in order:
        finite = sorted(f for f in performance.factors[method] if f <= LARGEST_TAU)
        x = [1.0, *finite, LARGEST_TAU]
        n = len(performance.problems)
        y = np.concatenate([[0], np.arange(1, len(finite) + 1), [len(finite)]]) / n
        axes.step(x, y, where="post", label=method, **look[method])
    axes.set_xscale("log")
    axes.set(xlim=(1, LARGEST_TAU), ylim=(0, 1.02))
    axes.set_xlabel("factor of the best method's error", fontsize=SMALL + 0.5)
    axes.set_ylabel("share of problems within it", fontsize=SMALL + 0.5)
    plain_numbers(axes.xaxis)
    tidy(axes)
    axes.grid(color="0.92", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(
        fontsize=SMALL,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        handlelength=2.6,
        labelspacing=0.35,
    )
    return figure


def _area(performance: Performance, method: str) -> float:
    """Area under the curve on the logarithmic axis: the order of the legend."""
    logs = [np.log(min(f, LARGEST_TAU)) for f in performance.factors[method]]
    return -float(np.sum(logs))
