"""Figures of a diagnosis: over the steps, the checks, every pair, every layer."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.extras import require
from ...diagnosis.diagnosis import Diagnosis
from ..glossary import counted
from ..verdict import headline
from .forest import draw_checks
from .maps import ROWS_SHOWN, draw_conflicts, draw_layers
from .series import draw_cosines, draw_norms

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_WIDTH = 11.0
_RESOLUTION = 130
_SERIES, _CHECKS = 3.9, 3.3


def save_figure(diagnosis: Diagnosis, path: str | Path) -> Path:
    """Draw everything and write it as an image, in the format of the suffix.

    Uses matplotlib's object interface: no window, no global state.
    """
    parts = _parts(diagnosis)
    heights = [height for height, _ in parts.values()]
    figure = _figure(sum(heights) + 0.4)
    figure.suptitle(
        f"Gradient conflict: {headline(diagnosis)} ({counted(diagnosis.samples, 'sample')})"
    )
    rows = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, (_, draw) in zip(rows, parts.values(), strict=True):
        draw(row, diagnosis)
    path = Path(path)
    figure.savefig(path, dpi=_RESOLUTION)
    return path


def images(diagnosis: Diagnosis) -> dict[str, bytes]:
    """The parts of the figure as PNG, by name: ``series``, ``checks``, ``layers``.

    One loss has no checks of pairs; without recorded layers there are none.
    """
    made = {}
    for name, (height, draw) in _parts(diagnosis).items():
        figure, file = _figure(height), io.BytesIO()
        draw(figure, diagnosis)
        figure.savefig(file, dpi=_RESOLUTION, format="png")
        made[name] = file.getvalue()
    return made


Draw = Callable[["Figure | SubFigure", Diagnosis], None]


def _parts(diagnosis: Diagnosis) -> dict[str, tuple[float, Draw]]:
    """Name -> height in inches, and what draws it."""
    count = len(diagnosis.profile.names)
    parts: dict[str, tuple[float, Draw]] = {"series": (_SERIES + 0.08 * count, _series)}
    if diagnosis.pairs:
        parts["checks"] = (_CHECKS + 0.15 * max(0, count - 3), _checks)
    if diagnosis.pairs and diagnosis.blocks:
        parts["layers"] = (1.6 + 0.3 * min(ROWS_SHOWN, len(diagnosis.pairs)), _layers)
    return parts


def _series(figure: Any, diagnosis: Diagnosis) -> None:
    if not diagnosis.pairs:
        draw_norms(figure.subplots(), diagnosis)
        return
    left, right = figure.subplots(1, 2)
    draw_cosines(left, diagnosis)
    draw_norms(right, diagnosis)


def _checks(figure: Any, diagnosis: Diagnosis) -> None:
    grid = figure.add_gridspec(
        len(diagnosis.checks), 2, width_ratios=(1, 1 if len(diagnosis.pairs) > 1 else 0.45)
    )
    rows = [figure.add_subplot(grid[k, 0]) for k in range(len(diagnosis.checks))]
    draw_checks(rows, diagnosis)
    draw_conflicts(figure.add_subplot(grid[:, 1]), diagnosis)


def _layers(figure: Any, diagnosis: Diagnosis) -> None:
    draw_layers(figure.subplots(), diagnosis)


def _figure(height: float) -> Figure:
    require("report", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(_WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.04, hspace=0.03)
    )
    FigureCanvasAgg(figure)
    return figure
