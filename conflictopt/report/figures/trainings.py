"""Trainings over their seconds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...plotting import SMALL, line_style, new_figure, plain_numbers, tidy
from ...wording import shortened
from ..trainings import LOSS, Training, measure_of
from .style import NAME, legend_below, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 9.0, 3.3


def drawable(trainings: Mapping[str, Training]) -> bool:
    """Whether there is a curve to be drawn: a training that was displayed twice."""
    return any(len(t.seconds) > 1 for t in trainings.values())


def save_trainings(trainings: Mapping[str, Training], path: Path) -> None:
    """Write the figure, in the format of the suffix."""
    _figure(trainings).savefig(path)


def trainings_image(trainings: Mapping[str, Training]) -> bytes:
    """The figure as PNG."""
    file = io.BytesIO()
    _figure(trainings).savefig(file, format="png")
    return file.getvalue()


def _figure(trainings: Mapping[str, Training]) -> Figure:
    """The train loss, and at its right the metric that trainings are judged by, if any."""
    figure, measure = new_figure(_HEIGHT, _WIDTH), measure_of(trainings)
    measures = list(dict.fromkeys((LOSS, measure)))
    grid = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, name in zip(grid, measures, strict=True):
        _draw(axes, trainings, name)
    return figure


def _draw(axes: Axes, trainings: Mapping[str, Training], measure: str) -> None:
    for k, (name, training) in enumerate(trainings.items()):
        values = np.asarray(training.of(measure), dtype=float)
        if len(training.seconds) != len(values):
            continue  # nobody knows when
        there = np.isfinite(values) & (values > 0)
        if there.any():
            seconds = np.asarray(training.seconds)[there]
            label = shortened(name, NAME)
            axes.plot(seconds, values[there], marker="o", ms=3, label=label, **line_style(k))
    title(axes, shortened(measure.replace("_", " "), 2 * NAME))
    axes.set_yscale("log")
    axes.set_xlabel("training time, s", loc="right", fontsize=SMALL, labelpad=1)
    plain_numbers(axes.yaxis)
    tidy(axes)
    legend_below(axes)
