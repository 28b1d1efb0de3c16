"""How many problems of each group are in which regime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....plotting import SMALL, new_figure, tidy
from ..statistics.regimes import SPLIT, UNDECIDED, GroupRegimes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOK = {
    "persistent": ("#D55E00", "white"),
    "magnitude": ("#F0E442", "black"),
    "benign": ("#0072B2", "white"),
    SPLIT: ("#999999", "black"),
    UNDECIDED: ("#E5E5E5", "black"),
}
_OTHER = ("#CC79A7", "black")


def regime_bars(groups: tuple[GroupRegimes, ...]) -> Figure:
    """One bar per group, its parts in the order persistent, magnitude, benign, split, undecided."""
    figure = new_figure(0.9 + 0.3 * len(groups))
    axes = figure.subplots()
    _bars(axes, groups)
    labels = [f"{g.group} ({g.problems})" for g in groups]
    axes.set_yticks(range(len(groups)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.set_xlabel("share of problems (numbers: problems)", fontsize=SMALL + 0.5)
    tidy(axes)
    axes.tick_params(axis="y", length=0)
    axes.legend(
        fontsize=SMALL,
        frameon=False,
        ncols=6,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        handlelength=1.2,
        columnspacing=1.2,
    )
    return figure


def _bars(axes: Axes, groups: tuple[GroupRegimes, ...]) -> None:
    names = dict.fromkeys(n for g in groups for n, count in g.counts.items() if count)
    for name in sorted(names, key=lambda n: (list(_LOOK).index(n) if n in _LOOK else 9, n)):
        colour, ink = _LOOK.get(name, _OTHER)
        for y, group in enumerate(groups):
            parts = list(group.counts)
            before = sum(group.counts[p] for p in parts[: parts.index(name)] if p in group.counts)
            count = group.counts[name]
            axes.barh(
                y,
                count / group.problems,
                left=before / group.problems,
                height=0.72,
                color=colour,
                edgecolor="white",
                lw=0.8,
                label=name if y == 0 else None,
            )
            if count:
                middle = (before + count / 2) / group.problems
                axes.text(
                    middle, y, str(count), ha="center", va="center", color=ink, fontsize=SMALL
                )
