"""One figure of a profile: cosines over time, norms over time, conflict heat map."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .profile import Profile
from .regime import Diagnosis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PAIRS_SHOWN = 6
"""Curves beyond this many are unreadable; the heat map shows all pairs."""


def save_figure(profile: Profile, diagnosis: Diagnosis, path: str | Path) -> Path:
    """Draw the profile and write it as an image.

    Uses matplotlib's object interface: no window, no global state.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.1), layout="constrained")
    FigureCanvasAgg(figure)
    cosine, norm, heat = figure.subplots(1, 3, width_ratios=(1.25, 1.25, 1))
    _cosines(cosine, profile, diagnosis)
    _norms(norm, profile)
    _heat_map(heat, profile, diagnosis)
    verdict = f"{diagnosis.regime} ({diagnosis.samples} samples"
    verdict += ", too short to rely on)" if diagnosis.too_short else ")"
    figure.suptitle(f"Gradient conflict profile: {verdict}")
    path = Path(path)
    figure.savefig(path, dpi=130)
    return path


def _cosines(axes: Axes, profile: Profile, diagnosis: Diagnosis) -> None:
    cosines = profile.cosines
    order = sorted(diagnosis.pairs, key=lambda p: p.cosine_late)[:_PAIRS_SHOWN]
    shown = {(p.first, p.second) for p in order}
    for i, j in combinations(range(len(profile.names)), 2):
        pair = profile.names[i], profile.names[j]
        if pair in shown:
            axes.plot(profile.steps, cosines[:, i, j], lw=1.2, label=" / ".join(pair))
    axes.axhline(0, color="0.6", lw=0.8)
    limit = diagnosis.thresholds.conflict_below
    axes.axhspan(-1.02, limit, color="tab:red", alpha=0.07, lw=0)
    axes.text(
        profile.steps[-1],
        limit - 0.02,
        "conflict",
        ha="right",
        va="top",
        color="tab:red",
        fontsize=8,
    )
    middle = profile.steps[len(profile.steps) // 2]
    axes.axvline(middle, color="0.6", lw=0.8, ls=":")
    axes.set(ylim=(-1.02, 1.02), xlabel="step", ylabel="cosine", title="cosines between gradients")
    _legend_below(axes)


def _norms(axes: Axes, profile: Profile) -> None:
    norms = profile.norms
    for k, name in enumerate(profile.names):
        if (norms[:, k] > 0).any():
            axes.semilogy(profile.steps, norms[:, k], lw=1.2, label=name)
    axes.set(xlabel="step", ylabel="norm", title="gradient norms")
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            labels,
            ncols=3,
            fontsize=8,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            frameon=False,
        )


def _heat_map(axes: Axes, profile: Profile, diagnosis: Diagnosis) -> None:
    names = profile.names
    table = np.full((len(names), len(names)), np.nan)
    for p in diagnosis.pairs:
        i, j = names.index(p.first), names.index(p.second)
        table[i, j] = table[j, i] = p.conflict_late
    axes.imshow(table, vmin=0, vmax=1, cmap="Reds")
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            color = "white" if value > 0.6 else "black"
            axes.text(j, i, f"{value:.0%}", ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_title("conflicting samples, last half")
