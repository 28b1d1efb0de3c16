"""Section: how far each choice is from the best one."""

from __future__ import annotations

from ....wording import percent, times
from ..label import is_auto
from ..markdown import code, table
from ..report_section import Csv, ReportSection
from ..statistics.regret import CLOSE, WORSE
from ..study_findings import StudyFindings
from .performance import no_shared, shared_text

TITLE = "Regret"


def regret(findings: StudyFindings) -> ReportSection:
    """Of ``auto`` and of every fixed choice."""
    study = findings.study
    if not study.fixed:
        return ReportSection(TITLE, ("Left out: the records have no fixed method.",))
    if not findings.regrets:
        return ReportSection(TITLE, (no_shared(findings),))
    how = (
        "Error over the error of the best fixed method of each problem, known only afterwards "
        "(geometric means over seeds; failed runs count as in section 3). A fixed method is any "
        f"but `auto`, those on a wider network included. {shared_text(findings)}"
    )
    header = ["method", "geometric mean", "median", "worst", "on", f"within {CLOSE:g}x"]
    header.append(f"worse than {WORSE:g}x baseline")
    rows = [
        [
            code(r.method),
            times(r.average),
            times(r.median),
            times(r.worst[0]),
            code(r.worst[1]),
            percent(r.close),
            percent(r.worse),
        ]
        for r in findings.regrets
    ]
    cells = [[r.method, p, f] for r in findings.regrets for p, f in r.factors.items()]
    return ReportSection(
        TITLE,
        (how, table(header, rows, "lrrrlr"), *_auto(findings)),
        (Csv("regret", ["method", "problem", "factor"], cells),),
    )


def _auto(findings: StudyFindings) -> list[str]:
    autos = [m for m in findings.study.methods if is_auto(m)]
    if not autos:
        return ["The records have no run of `auto`."]
    found = {r.method: r for r in findings.regrets}
    fixed = [r for r in findings.regrets if not is_auto(r.method)]
    lines = []
    for method in autos:
        better = sum(r.average < found[method].average for r in fixed)
        lines.append(
            f"{better} of {len(fixed)} fixed methods, always used, have a lower geometric mean "
            f"than {code(method)}."
        )
    return [" ".join(lines)]
