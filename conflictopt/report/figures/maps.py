"""Heat maps: conflict of every pair, and of every pair in every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...diagnosis.numbers import DiagnosisNumbers
from ...plotting import SMALL
from ...wording import shortened
from ..measured_words import by_conflict
from .style import DIVERGING, pair_name, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS_SHOWN = 15
"""All pairs of six losses."""
_NAME = 18


def draw_conflicts(axes: Axes, diagnosis: DiagnosisNumbers) -> None:
    """Share of the samples of the second half in which each pair conflicts."""
    names = diagnosis.profile.names
    table = np.full((len(names) - 1, len(names) - 1), np.nan)
    for p in diagnosis.pairs:
        table[names.index(p.second) - 1, names.index(p.first)] = p.conflict_late
    axes.imshow(table, vmin=0, vmax=1.35, cmap="Oranges", aspect="auto")
    _write(axes, table, "{:.0%}", dark=table > 0.85)
    axes.set_xticks(range(len(names) - 1), [shortened(n, _NAME) for n in names[:-1]])
    axes.set_yticks(range(len(names) - 1), [shortened(n, _NAME) for n in names[1:]])
    _turn(axes, names[:-1], 48)
    _plain(axes)
    title(axes, "Share in conflict (2nd half)")


def draw_layers(axes: Axes, diagnosis: DiagnosisNumbers) -> None:
    """Mean cosine of each pair in each layer over the second half."""
    blocks = diagnosis.blocks
    rows = by_conflict(diagnosis)[:ROWS_SHOWN]
    known = [{(p.first, p.second): p.cosine_late for p in block.pairs} for block in blocks]
    table = np.array([[layer[p.first, p.second] for layer in known] for p in rows])
    axes.imshow(table, vmin=-1, vmax=1, cmap=DIVERGING, aspect="auto")
    _write(axes, table, "{:+.2f}", dark=np.abs(table) > 0.55)
    labels = [f"{shortened(b.name, _NAME)}\n{b.share:.0%}" for b in blocks]
    axes.set_xticks(range(len(blocks)), labels)
    axes.set_yticks(range(len(rows)), [pair_name(p.first, p.second, _NAME) for p in rows])
    _turn(axes, [block.name for block in blocks], 110)
    _plain(axes)
    hidden = len(diagnosis.pairs) - len(rows)
    more = f", {len(rows)} of {len(diagnosis.pairs)} pairs" if hidden else ""
    title(axes, f"Where in the network? (mean cosine, 2nd half{more})")
    axes.set_xlabel("layer, and its share of the squared gradient norm", fontsize=SMALL)


def _write(axes: Axes, table: NDArray[np.float64], shape: str, dark: NDArray[np.bool_]) -> None:
    size = SMALL if table.shape[1] <= 10 else SMALL - 2
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if dark[i, j] else "black"
            text = shape.format(value)
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)


def _turn(axes: Axes, names: Sequence[str], room: int) -> None:
    """Labels that would run into each other."""
    crowded = len(names) * (max(min(len(n), _NAME) for n in names) + 2) > room
    if crowded:
        axes.tick_params(axis="x", rotation=35)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


def _plain(axes: Axes) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL)
