"""The figures of docs/evidence.md and of the fourth notebook."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from conflictopt.lab.study_report.figures.heat_map import heat_map
from conflictopt.lab.study_report.figures.method_styles import styles
from conflictopt.lab.study_report.figures.performance_curves import performance_curves
from conflictopt.lab.study_report.statistics.pairing import problem_ratios
from conflictopt.lab.study_report.statistics.performance import performance_of
from conflictopt.lab.study_report.statistics.shared import shared_of
from conflictopt.lab.study_report.study import Study
from conflictopt.plotting import SMALL, new_figure, plain_numbers, tidy

from .goals import LARGEST_RATIO, average, standing
from .grid import AUTO, BASELINE
from .words import title


def figures(parts: dict[str, Study], whole: Study) -> Iterator[tuple[str, Figure]]:
    """Names and figures."""
    yield "evidence_methods", methods(parts)
    yield "evidence_problems", problems(parts["reporting"])
    performance = performance_of(parts["reporting"], shared_of(parts["reporting"]))
    if performance is not None:
        yield "evidence_profile", performance_curves(parts["reporting"], performance)
    yield "evidence_heat_map", heat_map(whole)


def methods(parts: dict[str, Study]) -> Figure:
    """The ratio of every method to plain training on each half, with its interval."""
    figure = new_figure(2.9)
    panels = figure.subplots(1, len(parts), sharex=True, sharey=True)
    order = sorted(parts["reporting"].others, key=lambda m: -average(parts["reporting"], m))
    for axes, (half, study) in zip(panels, parts.items(), strict=True):
        _dots(axes, study, order)
        axes.set_title(f"{half} half, {len(study.problems)} problems", fontsize=SMALL + 0.5)
    panels[0].set_xscale("log")
    panels[0].set_yticks(range(len(order)), [title(m).replace("`", "") for m in order])
    for axes in panels:
        plain_numbers(axes.xaxis)
        tidy(axes)
    figure.supxlabel(
        "error / that of plain Adam, geometric mean (bars: 95 % interval; dotted: the aim)",
        fontsize=SMALL + 0.5,
    )
    return figure


def _dots(axes: Axes, study: Study, order: list[str]) -> None:
    look = styles(study)
    for y, method in enumerate(order):
        found = standing(study, method).to_plain
        if found is None:
            continue
        colour = str(look[method]["color"])
        if found.interval is not None:
            axes.plot([found.interval.low, found.interval.high], [y, y], color=colour, lw=1.8)
        axes.plot(found.value, y, "o", ms=5, color=colour)
    axes.axvline(1, color="0.4", lw=0.9, zorder=0)
    axes.axvline(LARGEST_RATIO, color="0.4", lw=0.9, ls=":", zorder=0)


def problems(study: Study) -> Figure:
    """Per problem the ratio of ``auto`` to plain, of every seed, and of the best fixed method."""
    shared = shared_of(study)
    ratios = problem_ratios(study, AUTO, BASELINE)
    order = sorted(shared.problems, key=lambda p: ratios[p])
    figure = new_figure(0.8 + 0.155 * len(order))
    axes = figure.subplots()
    for y, problem in enumerate(order):
        base = shared.errors[problem, BASELINE]
        axes.plot(shared.best(problem, study.fixed) / base, y, "|", color="0.35", ms=7, mew=1.4)
        for run in study.of(problem, AUTO):
            plain = study.cells[problem, BASELINE, run.seed]
            if run.error is not None and plain.error is not None:
                axes.plot(run.error / plain.error, y, ".", color="#D55E00", ms=3, alpha=0.5)
        axes.plot(ratios[problem], y, "o", color="#D55E00", ms=4)
    axes.plot([], [], "o", color="#D55E00", ms=4, label="auto (small: single seeds)")
    axes.plot([], [], "|", color="0.35", ms=7, mew=1.4, label="best fixed method, in hindsight")
    axes.axvline(1, color="0.4", lw=0.9, zorder=0)
    axes.set_yticks(range(len(order)), order, fontsize=SMALL - 0.5)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    tidy(axes)
    axes.grid(axis="y", color="0.94", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("error / that of plain Adam", fontsize=SMALL + 0.5)
    axes.legend(fontsize=SMALL, frameon=False, loc="upper left")
    return figure
