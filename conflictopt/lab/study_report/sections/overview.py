"""The top: what the report shows, its limits, and one line per method."""

from __future__ import annotations

from ....wording import counted, joined, number, probability, times
from ..markdown import code, escape, table
from ..report_section import ReportSection
from ..statistics.ratios import MethodRatio
from ..study_findings import StudyFindings


def overview(findings: StudyFindings) -> ReportSection:
    """Read-me paragraph and summary."""
    study = findings.study
    first = (
        f"This report compares {counted(len(study.methods), 'method')} on "
        f"{counted(len(study.problems), 'problem')} with {counted(len(study.seeds), 'seed')} at "
        f"the budget {code(study.budget)}. Every number and figure in it is computed from "
        f"{counted(len(study.runs), 'record')}, one per training run, by `conflictopt suite report "
        f"DIR` (DIR: the folder of the records), with {_arguments(findings)}. The errors are "
        "relative L2 errors against the reference solution, the geometric mean over the outputs "
        "of a problem. `tables/` has the numbers in full precision."
    )
    return ReportSection("Read me", (first, _limits(findings), *_glance(findings)))


def _arguments(findings: StudyFindings) -> str:
    study = findings.study
    absent = "" if study.has_baseline else ", of which there is no run"
    return f"baseline {code(study.baseline)}{absent}, and bootstrap seed {findings.rng_seed}"


def _limits(findings: StudyFindings) -> str:
    study, kept = findings.study, findings.inventory
    limits = [
        "**Limits.** One budget and one set of hyper-parameters per method: the report says "
        "nothing about longer runs or tuned ones."
    ]
    if len(study.seeds) == 1:
        limits.append(
            "There is one seed: on a single problem, the effect of a method cannot be told from "
            "the noise of the starting point."
        )
    else:
        limits.append(
            f"{len(study.seeds)} seeds say little about a single problem: a difference within the "
            "ranges shown may be noise."
        )
    limits.append("Intervals and tests speak of problems like these, not of all problems.")
    broken, missing = len(kept.not_ok), len(kept.missing)
    if broken:
        limits.append(f"{counted(broken, 'run')} failed or diverged (section 1).")
    if missing:
        limits.append(f"{counted(missing, 'run')} of the full grid missing (section 1).")
    several = {"machines": kept.machines, "versions of the training sources": kept.sources}
    mixed = [f"{len(seen)} {name}" for name, seen in several.items() if len(seen) > 1]
    if mixed:
        limits.append(f"The records are of {joined(mixed)} (section 1).")
    if study.mixtures:
        lines = escape("; ".join(study.mixtures))
        limits.append(f"**Records of several kinds are compared as if they were of one:** {lines}.")
    return " ".join(limits)


def _glance(findings: StudyFindings) -> tuple[str, ...]:
    study = findings.study
    tests = {t.method: t for t in findings.to_baseline}
    regret = {r.method: r for r in findings.regrets}
    speed = {t.method: t.step_time for t in findings.timings}
    rows = []
    for method in study.methods:
        found = findings.ratio(method)
        bad = sum(n for k, n in findings.inventory.outcomes[method].items() if k != "missing")
        bad -= findings.inventory.outcomes[method]["ok"]
        ratio = "1" if method == study.baseline else interval_text(found)
        test = tests.get(method)
        rows.append(
            [
                code(method),
                ratio,
                probability(test.p_holm) if test else "-",
                times(regret[method].average) if method in regret else "-",
                "1" if method == study.baseline else number(speed.get(method)),
                str(bad),
            ]
        )
    rows.sort(key=lambda row: row[0] != code(study.baseline))
    header = (
        "method",
        "error / baseline [95% interval]",
        "p (Holm)",
        "regret",
        "time per step / baseline",
        "failed or diverged",
    )
    return (
        "At a glance, over all problems (regret: error over that of the best fixed method of each "
        "problem; sections 3, 4, 7 and 8 say how each column is made):",
        table(header, rows, "lr"),
    )


def interval_text(found: MethodRatio | None) -> str:
    """``0.83 [0.71, 0.97]``; the ratio alone where there are too few problems."""
    if found is None or found.ratio is None:
        return "-"
    ends = found.ratio.interval
    value = number(found.ratio.value)
    return f"{value} [{number(ends.low)}, {number(ends.high)}]" if ends else value
