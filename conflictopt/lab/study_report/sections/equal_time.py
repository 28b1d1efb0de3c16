"""Section: equal steps beside equal time."""

from __future__ import annotations

from ....wording import number
from ..figures.time_curves import time_curves
from ..markdown import code, table
from ..report_section import Csv, Drawing, ReportSection
from ..statistics.examples import shown_methods, shown_problems
from ..statistics.ratios import Ratio
from ..statistics.timing import TimeComparison
from ..study_findings import StudyFindings
from .ratios import no_comparison

TITLE = "Equal steps and equal time"


def equal_time(findings: StudyFindings) -> ReportSection:
    """Ratios at the last step and at the baseline's CPU time, and curves."""
    if reason := no_comparison(findings):
        return ReportSection(TITLE, (reason, *_curves(findings)))
    base = code(findings.study.baseline)
    how = (
        f"Ratio of errors to {base} at the last step, and at the CPU time at which the {base} run "
        "of the same problem and seed ended: there the method's error is read from its curve, "
        "log-linear between the recorded steps; a run that ended sooner counts with its final "
        "error. Both columns use the same pairs, those with a finished baseline run and a curve; "
        "failed runs count as in section 3. Time per step: CPU time, geometric mean over problems."
    )
    caveat = (
        "The learning-rate schedule is in steps: at equal time a slower method is cut off in the "
        "middle of its schedule, and a faster one is given no further steps. CPU time is that of "
        "training alone, and depends on what else the machine did."
    )
    if any(run.plain_run_s is not None for run in findings.study.runs):
        caveat += (
            " Runs with an optimizer of their own have time for a budget: so many times that of "
            f"{code('none')}, measured in plain steps along with them; they are read at that time."
        )
    return ReportSection(
        TITLE,
        (how, caveat, _table(findings), *_machines(findings), *_curves(findings)),
        (_csv(findings.timings),),
    )


def _table(findings: StudyFindings) -> str:
    header = ["method", "time per step", "ratio at equal steps", "ratio at equal time"]
    header += ["problems", "pairs", "left out"]
    rows = [
        [
            code(t.method),
            number(t.step_time),
            _ratio(t.at_steps),
            _ratio(t.at_time),
            str(t.at_time.problems if t.at_time else 0),
            str(t.at_time.pairs if t.at_time else 0),
            str(t.left_out),
        ]
        for t in findings.timings
    ]
    return table(header, rows, "lr")


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    ends = ratio.interval
    tail = f" [{number(ends.low)}, {number(ends.high)}]" if ends else ""
    return number(ratio.value) + tail


def _machines(findings: StudyFindings) -> list[str]:
    mixed = sum(t.machines for t in findings.timings)
    if not mixed:
        return []
    total = sum(t.at_time.pairs for t in findings.timings if t.at_time)
    return [f"**In {mixed} of {total} pairs the two runs are from different machines.**"]


def _curves(findings: StudyFindings) -> list[Drawing | str]:
    study = findings.study
    problems = shown_problems(study)
    if not problems:
        return ["No figure: the records have no curves of the error."]
    methods = shown_methods(study, findings.best_fixed)
    some = "" if len(methods) == len(study.methods) else " of the methods"
    caption = (
        f"Error against CPU time{some}, median over seeds, one problem of each family: the one "
        "whose largest gain over the baseline is the median of its family."
        if study.has_baseline and study.others
        else f"Error against CPU time{some}, median over seeds, one problem of each family."
    )
    return [Drawing("error_over_time", caption, time_curves(findings, problems, methods))]


def _csv(found: tuple[TimeComparison, ...]) -> Csv:
    header = ["method", "step_time", "at_steps", "at_steps_low", "at_steps_high", "at_time"]
    header += ["at_time_low", "at_time_high", "pairs", "left_out", "different_machines"]
    rows: list[list[object]] = []
    for t in found:
        pairs = t.at_time.pairs if t.at_time else 0
        ratios = [*_numbers(t.at_steps), *_numbers(t.at_time)]
        rows.append([t.method, t.step_time, *ratios, pairs, t.left_out, t.machines])
    return Csv("timing", header, rows)


def _numbers(ratio: Ratio | None) -> list[object]:
    if ratio is None:
        return [None, None, None]
    ends = ratio.interval
    return [ratio.value, ends.low if ends else None, ends.high if ends else None]
