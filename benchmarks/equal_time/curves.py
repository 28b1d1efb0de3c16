"""The figure of the README: error over CPU seconds for a few problems."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.study_report.label import name
from conflictopt.lab.study_report.run import Run
from conflictopt.lab.study_report.statistics.examples import median_curve
from conflictopt.lab.study_report.study import Study
from conflictopt.plotting import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    VERMILION,
    new_figure,
    plain_numbers,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROBLEMS = ("helmholtz_2d_a2_3", "klein_gordon", "advection_beta10")
"""Shown unless others are asked for: steady, a wave, transport; all of the calibration half."""
LOOKS = {
    "none": ("Adam", BLACK),
    "lbfgs": ("Adam, then L-BFGS", ORANGE),
    "levenberg_marquardt": ("Levenberg-Marquardt", VERMILION),
    "soap+ntk": ("SOAP, NTK weights", SKY),
    "auto": ("auto", BLUE),
}
"""Of a method by its label, or the name of its only member: what it is called here, and its
colour."""
_OTHERS = (PURPLE, GREEN)


def curves(study: Study, problems: Sequence[str] = PROBLEMS) -> Figure:
    """One panel for each problem, one curve for each method of the study: medians over seeds.

    The dotted line is where plain Adam ends; methods whose budget is time may go on. Theirs is told
    in plain runs, as measured along with each, and drawn as seconds of the recorded plain run: the
    machine may have been slower in one run than in the other.

    Args:
        study: with runs of all problems.
        problems: which, from left to right.

    Raises:
        SystemExit: a problem without a run of the baseline.
    """
    figure = new_figure(2.7)
    panels = figure.subplots(1, len(problems), squeeze=False)[0]
    looks = _looks(study)
    for axes, problem in zip(panels, problems, strict=True):
        end = _end(study, problem)
        for method, look in looks.items():
            runs = [_clocked(run, end) for run in study.of(problem, method)]
            axes.plot(*median_curve(runs), **look)
        axes.axvline(end, color="0.55", lw=0.9, ls=":", zorder=0)
        _dress(axes, problem)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=len(looks),
        fontsize=SMALL + 0.5,
        frameon=False,
    )
    figure.supxlabel("CPU seconds, one thread (dotted: Adam's last step)", fontsize=SMALL + 0.5)
    figure.supylabel("relative L2 error", fontsize=SMALL + 0.5)
    return figure


def _looks(study: Study) -> dict[str, dict[str, Any]]:
    """Per method how it is drawn; one that has no look of its own gets another colour."""
    found, spare = {}, iter(_OTHERS)
    for method in study.methods:
        alone = method if "+" in method else name(method)
        shown = LOOKS[alone] if alone in LOOKS else (method, next(spare))
        found[method] = {"label": shown[0], "color": shown[1], "linewidth": 1.6}
    return found


def _end(study: Study, problem: str) -> float:
    seconds = [r.cpu_time_s for r in study.of(problem, study.baseline) if r.cpu_time_s]
    if not seconds:
        raise SystemExit(f"expected runs of '{study.baseline}' on {problem}, found none.")
    return statistics.median(seconds)


def _clocked(run: Run, end: float) -> Run:
    parts = run.record["curve"].get("plain_runs")
    if parts is None:
        return run
    return replace(run, curve=replace(run.curve, times=np.asarray(parts, dtype=float) * end))


def _dress(axes: Axes, problem: str) -> None:
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_title(f"{problem}\n{load_suite()[problem].title}", fontsize=SMALL)
    plain_numbers(axes.yaxis)
    tidy(axes)
    axes.grid(color="0.93", lw=0.6)
    axes.set_axisbelow(True)
