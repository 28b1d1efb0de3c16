"""Section: the errors themselves."""

from __future__ import annotations

from ....wording import number
from .. import family
from ..markdown import code, escape, table
from ..report_section import Csv, ReportSection
from ..statistics.error_cells import ErrorCell, SeedSpread, error_cells, unknown_spreads
from ..study import Study
from ..study_findings import StudyFindings


def errors_by_problem(findings: StudyFindings) -> ReportSection:
    """One table per family, then the unknowns of inverse problems."""
    study = findings.study
    cells = {p: error_cells(study, p) for p in study.problems}
    how = "Relative L2 error" if len(study.seeds) == 1 else "Relative L2 error, median over seeds"
    how += "" if len(study.seeds) == 1 else " and [lowest, highest]"
    paragraphs = [
        f"{how}, of the runs that finished; in brackets how others ended. **Bold**: the lowest "
        "on the problem among methods whose runs all finished. Per run and output: "
        "`tables/outputs.csv`."
    ]
    for name in study.families:
        rows = [
            [code(p), *(_cell(cells[p].get(m)) for m in study.methods)] for p in study.members(name)
        ]
        paragraphs.append(f"### {escape(family.title(name))}")
        paragraphs.append(table(("problem", *map(code, study.methods)), rows, "lr"))
    paragraphs += _unknowns(study)
    tables = (_errors_csv(study, cells), _outputs_csv(study), _unknowns_csv(study))
    return ReportSection("Errors, problem by problem", tuple(paragraphs), tables)


def _cell(cell: ErrorCell | None) -> str:
    if cell is None:
        return "missing"
    endings = ", ".join(f"{n} {how}" for how, n in sorted(cell.endings.items()))
    text = _spread(cell.error, 3)
    if cell.best:
        text = f"**{text}**"
    return f"{text} ({endings})" if endings and cell.error.seeds else endings or text


def _spread(spread: SeedSpread, digits: int) -> str:
    median = number(spread.median, digits)
    if spread.seeds < 2:
        return median
    return f"{median} [{number(spread.low, digits)}, {number(spread.high, digits)}]"


def _unknowns(study: Study) -> list[str]:
    rows = []
    for problem in study.problems:
        found = {m: unknown_spreads(study.of(problem, m)) for m in study.methods}
        for name in sorted({n for spreads in found.values() for n in spreads}):
            cells = [_spread(s[name], 2) if (s := found[m]) and name in s else "-" for m in found]
            rows.append([code(problem), code(name), *cells])
    if not rows:
        return []
    return [
        "### Unknowns of inverse problems",
        "Relative error of the found value, of the runs that finished.",
        table(("problem", "unknown", *map(code, study.methods)), rows, "llr"),
    ]


def _errors_csv(study: Study, cells: dict[str, dict[str, ErrorCell]]) -> Csv:
    header = ["problem", "family", "method", "median", "lowest", "highest", "finished", "others"]
    rows = []
    for problem, by_method in cells.items():
        for method, cell in by_method.items():
            e = cell.error
            numbers = [e.median, e.low, e.high, e.seeds, sum(cell.endings.values())]
            rows.append([problem, study.family_of[problem], method, *numbers])
    return Csv("errors", header, rows)


def _outputs_csv(study: Study) -> Csv:
    rows = [
        [r.problem, r.method, r.seed, output, value]
        for r in study.runs
        for output, value in r.outputs.items()
    ]
    return Csv("outputs", ["problem", "method", "seed", "output", "relative_l2"], rows)


def _unknowns_csv(study: Study) -> Csv:
    rows = [
        [r.problem, r.method, r.seed, name, error]
        for r in study.runs
        for name, error in r.unknowns.items()
    ]
    return Csv("unknowns", ["problem", "method", "seed", "unknown", "relative_error"], rows)
