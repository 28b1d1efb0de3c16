"""What happens over the steps: cosines and norms."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...diagnosis.numbers import DiagnosisNumbers
from ...plotting import SMALL, line_style, plain_numbers, tidy
from ...wording import shortened
from ..measured_words import by_conflict
from .style import CONFLICT, NAME, legend_below, pair_name, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAIRS_SHOWN = 5
"""More curves are unreadable; the map of conflicts has all pairs."""
_LOWEST = -1.2
"""Of the axis of cosines: beyond -1 there is room for words."""
_SMOOTHED = 20
"""Running means are over this part of the profile."""


def draw_cosines(axes: Axes, diagnosis: DiagnosisNumbers) -> None:
    """Cosines of the pairs nearest to conflict: running means, and faint what they are of."""
    profile, limit = diagnosis.profile, diagnosis.thresholds.conflict_below
    shown = by_conflict(diagnosis)[:PAIRS_SHOWN]
    places = {p: k for k, p in enumerate(combinations(profile.names, 2))}
    first, second = np.triu_indices(len(profile.names), 1)
    axes.axhspan(_LOWEST, limit, color=CONFLICT, alpha=0.08, lw=0)
    axes.axhline(0, color="0.6", lw=0.8)
    for number, pair in enumerate(shown):
        k = places[pair.first, pair.second]
        if not np.isfinite(profile.cosines[:, first[k], second[k]]).any():
            continue
        series, style = profile.cosines[:, first[k], second[k]], line_style(number)
        axes.plot(profile.steps, series, lw=0.7, alpha=0.3, **style)
        style |= {"label": pair_name(pair.first, pair.second), "marker": _mark(diagnosis)}
        axes.plot(profile.steps, _running_mean(series), lw=1.8, **style)
    axes.text(0.01, 0.02, "conflict", color=CONFLICT, fontsize=SMALL, transform=axes.transAxes)
    hidden = len(diagnosis.pairs) - len(shown)
    more = f" ({len(shown)} of {len(diagnosis.pairs)} pairs)" if hidden else ""
    title(axes, f"Do the gradients agree?{more}")
    axes.set(ylim=(_LOWEST, -_LOWEST), yticks=np.linspace(-1, 1, 5))
    axes.set_ylabel("cosine", fontsize=SMALL + 0.5)
    _over_steps(axes, diagnosis)


def draw_norms(axes: Axes, diagnosis: DiagnosisNumbers) -> None:
    """Gradient norms of all losses, on a logarithmic scale."""
    profile = diagnosis.profile
    for number, name in enumerate(profile.names):
        norms = profile.norms[:, number]
        norms = np.where(np.isfinite(norms) & (norms > 0), norms, np.nan)
        if np.isfinite(norms).any():
            style = {
                **line_style(number),
                "label": shortened(name, NAME),
                "marker": _mark(diagnosis),
            }
            axes.plot(profile.steps, norms, lw=1.4, **style)
    title(axes, "How hard does each loss pull?")
    axes.set_yscale("log")
    axes.margins(y=0.12)  # room for words at the top
    axes.set_ylabel("gradient norm", fontsize=SMALL + 0.5)
    plain_numbers(axes.yaxis)
    _over_steps(axes, diagnosis)


def _mark(diagnosis: DiagnosisNumbers) -> str:
    """A single sample is no line."""
    return "o" if diagnosis.samples == 1 else ""


def _over_steps(axes: Axes, diagnosis: DiagnosisNumbers) -> None:
    steps = diagnosis.profile.steps
    middle, last = int(steps[len(steps) // 2]), int(steps[-1])
    if last > middle:
        axes.axvspan(middle, last, color="0.5", alpha=0.12, lw=0)
        axes.text(
            0.99,
            0.98,
            "deciding half",
            color="0.35",
            fontsize=SMALL,
            ha="right",
            va="top",
            transform=axes.transAxes,
        )
        axes.set_xlim(int(steps[0]), last)
    axes.set_xlabel("step", loc="right", fontsize=SMALL, labelpad=1)
    tidy(axes)
    legend_below(axes)


def _running_mean(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred, of the samples that are there; NaN where none is."""
    width = max(1, len(series) // _SMOOTHED)
    there = np.isfinite(series)
    window = np.ones(width)
    count = np.convolve(there, window, "same")
    total = np.convolve(np.where(there, series, 0.0), window, "same")
    mean = np.full(len(series), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
