"""Section: performance profiles."""

from __future__ import annotations

from ....wording import counted, percent
from ..figures.performance_curves import performance_curves
from ..markdown import code, table
from ..report_section import Csv, Drawing, ReportSection
from ..statistics.performance import TAUS
from ..study_findings import StudyFindings

TITLE = "Performance profiles"


def performance(findings: StudyFindings) -> ReportSection:
    """Shares of problems within factors of the best method."""
    study, found = findings.study, findings.performance
    if len(study.methods) < 2:
        return ReportSection(TITLE, ("Left out: a profile compares two methods or more.",))
    if found is None:
        return ReportSection(TITLE, (no_shared(findings),))
    how = (
        "Share of problems on which a method's error (geometric mean over seeds) is within a "
        f"factor of the best method's there (Dolan and Moré 2002). {shared_text(findings)} A "
        "method with a failed or diverged run on a problem is within no factor there."
    )
    rows = [[code(m), *(percent(found.share(m, t)) for t in TAUS)] for m in study.methods]
    drawing = Drawing(
        "performance",
        "Performance profile, the methods in the order of the area under their curves.",
        performance_curves(study, found),
    )
    cells = [[m, t, found.share(m, t)] for m in study.methods for t in TAUS]
    return ReportSection(
        TITLE,
        (how, table(("method", *(f"within {t:g}x" for t in TAUS)), rows, "lr"), drawing),
        (Csv("performance", ["method", "factor", "share"], cells),),
    )


def no_shared(findings: StudyFindings) -> str:
    """Why methods cannot be compared with each other."""
    return f"Left out: no problem has a seed that all methods have run ({_lacking(findings)})."


def shared_text(findings: StudyFindings) -> str:
    """Which problems are compared."""
    total, used = len(findings.study.problems), len(findings.shared.problems)
    if used == total:
        return f"All {counted(total, 'problem')} are used."
    return (
        f"{used} of {counted(total, 'problem')} are used, those with a seed that all methods have "
        f"run ({_lacking(findings)})."
    )


def _lacking(findings: StudyFindings) -> str:
    lacking = [f"{code(m)} lacks {n}" for m, n in findings.shared.missing.items() if n]
    return ", ".join(lacking) or "the seeds differ"
