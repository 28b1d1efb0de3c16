"""Section: adapters against equally large networks."""

from __future__ import annotations

from ....wording import number, probability
from ..markdown import code, table
from ..report_section import Csv, ReportSection
from ..study_findings import StudyFindings
from .overview import interval_text
from .ratios import ratio_row

TITLE = "Adapters against equal parameters"


def capacity(findings: StudyFindings) -> ReportSection:
    """Each ``adapters...+NAME`` beside ``wide+NAME``."""
    if not findings.capacities:
        reason = (
            "Left out: the records have no method with adapters beside the same method on a "
            "network widened to as many parameters (`adapters+NAME` and `wide+NAME`)."
        )
        return ReportSection(TITLE, (reason,))
    how = (
        "Ratio of errors, adapters over the same method on a wider network, paired by problem and "
        "seed; below 1 the adapters have the lower error. Intervals, tests and failed runs as in "
        "sections 3 and 4; Holm's correction over the rows. Parameters: of all that is trained, "
        "adapters over wide."
    )
    header = ["with adapters", "wider network", "parameters", "error ratio", "n", "lower"]
    header += ["higher", "p", "p (Holm)", "failed, adapters", "failed, wide"]
    rows = [
        [
            code(c.ratio.method),
            code(c.ratio.against),
            number(c.parameters),
            interval_text(c.ratio),
            *map(str, (c.test.problems, c.test.lower, c.test.higher)),
            probability(c.test.p) if c.test.p is not None else "too few",
            probability(c.test.p_holm),
            *map(str, (c.ratio.failed, c.ratio.failed_against)),
        ]
        for c in findings.capacities
    ]
    return ReportSection(TITLE, (how, table(header, rows, "llr")), (_csv(findings),))


def _csv(findings: StudyFindings) -> Csv:
    header = ["adapters", "wide", "family", "ratio", "low", "high", "problems", "pairs"]
    header += ["failed_adapters", "failed_wide", "parameters", "p", "p_holm"]
    rows = [
        [*ratio_row(c.ratio), c.parameters, c.test.p, c.test.p_holm] for c in findings.capacities
    ]
    return Csv("capacity", header, rows)
