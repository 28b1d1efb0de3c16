"""Section: signed-rank tests."""

from __future__ import annotations

from ....wording import probability
from ..markdown import code, table
from ..report_section import Csv, ReportSection
from ..statistics.signed_rank import ENOUGH_DIFFERENCES, SignedRank
from ..study_findings import StudyFindings
from .ratios import no_comparison

TITLE = "Signed-rank tests"


def signed_rank(findings: StudyFindings) -> ReportSection:
    """Every method against the baseline, and against the best fixed method."""
    study, best = findings.study, findings.best_fixed
    how = (
        "Wilcoxon's signed-rank test, two-sided, on one log ratio of errors per problem (mean "
        "over seeds); problems with equal errors are left out of it. p is corrected by Holm's "
        f"method over the methods of a table, and is given from {ENOUGH_DIFFERENCES} problems "
        "with a difference on. n: problems; lower and higher: those on which the method's error "
        "is lower or higher. Failed runs count as in section 3."
    )
    paragraphs = [how, f"### Against the baseline {code(study.baseline)}"]
    paragraphs.append(no_comparison(findings) or _table(findings.to_baseline))
    paragraphs += _against_best(findings, best)
    return ReportSection(TITLE, tuple(paragraphs), (_csv(findings),))


def _against_best(findings: StudyFindings, best: str | None) -> list[str]:
    if best is None:
        why = (
            "Left out: there is no fixed method, or no problem and seed that all methods have run."
        )
        return ["### Against the best fixed method", why]
    heading = f"### Against the best fixed method, {code(best)}"
    if not findings.to_best:
        return [heading, "Left out: there is no other method."]
    if best == findings.study.baseline:
        return [heading, "It is the baseline: the table is the one above."]
    note = (
        f"{code(best)} has the lowest geometric-mean error over the "
        f"{len(findings.shared.problems)} problems that all methods have run. It was picked on "
        "these very data, which favours it."
    )
    return [heading, note, _table(findings.to_best)]


def _table(tests: tuple[SignedRank, ...]) -> str:
    rows = [
        [
            code(t.method),
            str(t.problems),
            str(t.lower),
            str(t.higher),
            probability(t.p) if t.p is not None else "too few",
            probability(t.p_holm),
        ]
        for t in tests
    ]
    return table(("method", "n", "lower", "higher", "p", "p (Holm)"), rows, "lr")


def _csv(findings: StudyFindings) -> Csv:
    header = ["method", "against", "problems", "lower", "higher", "p", "p_holm"]
    rows = [
        [t.method, t.against, t.problems, t.lower, t.higher, t.p, t.p_holm]
        for t in (*findings.to_baseline, *findings.to_best)
    ]
    return Csv("signed_rank", header, rows)
