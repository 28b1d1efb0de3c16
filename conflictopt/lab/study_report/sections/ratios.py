"""Section: how errors compare with the baseline's."""

from __future__ import annotations

from ....wording import counted, joined
from .. import family
from ..figures.family_ratios import family_ratios
from ..figures.heat_map import heat_map
from ..markdown import code, escape, table
from ..report_section import Csv, Drawing, ReportSection
from ..statistics.bootstrap import ENOUGH_PROBLEMS, RESAMPLES
from ..statistics.pairing import FAILED_ERROR, FAILED_FACTOR, problem_ratios
from ..statistics.ratios import MethodRatio
from ..study_findings import StudyFindings
from .overview import interval_text

TITLE = "Error relative to the baseline"
RULE = (
    "A run that failed or diverged counts with the error "
    f"max({FAILED_ERROR:g}, {FAILED_FACTOR:g} x the baseline's error on that problem and seed), "
    f"and with {FAILED_ERROR:g} where the baseline failed or is missing; a failed baseline run "
    f"counts with {FAILED_ERROR:g}. The relative L2 error of the zero function is 1."
)


def ratios(findings: StudyFindings) -> ReportSection:
    """Per family and overall, with intervals."""
    study = findings.study
    if reason := no_comparison(findings):
        return ReportSection(TITLE, (reason,))
    how = (
        f"Geometric mean of the ratio of errors to {code(study.baseline)}, paired by problem and "
        "seed: over seeds, then over problems. Below 1 the method has the lower error. In "
        f"brackets a 95% bootstrap interval ({RESAMPLES} resamples of problems, and of seeds "
        f"within them), given from {ENOUGH_PROBLEMS} problems on. {RULE}"
    )
    shown = [*study.families, None] if len(study.families) > 1 else [None]
    rows = [
        [code(m), *(interval_text(findings.ratio(m, f)) for f in shown), _failed(findings, m)]
        for m in study.others
    ]
    titles = [_title(findings, f) for f in shown]
    return ReportSection(
        TITLE,
        (
            how,
            table(("method", *titles, "failed pairs"), rows, "lr"),
            "In the headings, the number of problems; where a method has pairs on fewer: "
            f"{_fewer(findings)} Failed pairs: runs of the method that failed or diverged, of all "
            "its pairs; after a comma those of the baseline.",
            *_drawings(findings),
        ),
        (_ratios_csv(findings), _logs_csv(findings)),
    )


def no_comparison(findings: StudyFindings) -> str | None:
    """Why methods cannot be compared with the baseline; ``None`` if they can."""
    study = findings.study
    if not study.has_baseline:
        methods = joined([code(m) for m in study.methods])
        found = f"the records have no run of the baseline {code(study.baseline)}, only of {methods}"
        return f"Left out: {found}."
    if not study.others:
        return f"Left out: the records have no method beside the baseline {code(study.baseline)}."
    return None


def _title(findings: StudyFindings, name: str | None) -> str:
    title = "all" if name is None else escape(family.title(name))
    return f"{title} ({len(findings.study.members(name))})"


def _failed(findings: StudyFindings, method: str) -> str:
    found = findings.ratio(method)
    if found is None or found.ratio is None:
        return "-"
    base = f", {found.failed_against}" if found.failed_against else ""
    return f"{found.failed} of {found.ratio.pairs}{base}"


def _fewer(findings: StudyFindings) -> str:
    everything = len(findings.study.problems)
    fewer = [
        f"{code(r.method)} {r.ratio.problems if r.ratio else 0}"
        for r in findings.ratios
        if r.family is None and (r.ratio is None or r.ratio.problems < everything)
    ]
    return f"{', '.join(fewer)}." if fewer else "none."


def _drawings(findings: StudyFindings) -> tuple[Drawing, ...]:
    study = findings.study
    base = code(study.baseline)
    return (
        Drawing(
            "family_ratios",
            f"Geometric-mean ratio of errors to {base}, with 95% intervals. An open dot: fewer "
            f"than {ENOUGH_PROBLEMS} problems, no interval.",
            family_ratios(findings),
        ),
        Drawing(
            "heat_map",
            f"Ratio of errors to {base} on each of {counted(len(study.problems), 'problem')}, "
            "geometric mean over seeds. Blue: lower error than the baseline; red: higher. "
            "Colours saturate at a factor of ten; a cross marks a failed or diverged run.",
            heat_map(study),
        ),
    )


def _ratios_csv(findings: StudyFindings) -> Csv:
    header = ["method", "baseline", "family", "ratio", "low", "high", "problems", "pairs"]
    header += ["failed", "failed_baseline"]
    return Csv("ratios", header, [ratio_row(r) for r in findings.ratios])


def ratio_row(found: MethodRatio) -> list[object]:
    """The cells of a ratio in CSV; empty ones for what is not there."""
    name = found.family or "all"
    if found.ratio is None:
        return [found.method, found.against, name, None, None, None, 0, 0, 0, 0]
    r, ends = found.ratio, found.ratio.interval
    numbers = [r.value, ends.low if ends else None, ends.high if ends else None]
    return [
        found.method,
        found.against,
        name,
        *numbers,
        r.problems,
        r.pairs,
        found.failed,
        found.failed_against,
    ]


def _logs_csv(findings: StudyFindings) -> Csv:
    study = findings.study
    rows = [
        [problem, study.family_of[problem], method, ratio]
        for method in study.others
        for problem, ratio in problem_ratios(study, method, study.baseline).items()
    ]
    return Csv("problem_ratios", ["problem", "family", "method", "ratio"], rows)
