"""From records to the folder of the report."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from .html import to_html
from .markdown import slug
from .report_section import Csv, Drawing, ReportSection
from .run import Record
from .study import study_of
from .study_findings import StudyFindings, findings_of

TITLE = "Report of a study with conflictopt"


def write_report(
    records: Iterable[Record],
    folder: str | Path,
    *,
    baseline: str = "none",
    rng_seed: int = 0,
    budget: str | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write ``report.md``, ``report.html``, ``figures/`` and ``tables/``.

    ``report.md`` depends on the records alone, not on their order.

    Args:
        records: one per run, as plain data.
        folder: created if need be; files of an earlier report in it are replaced.
        baseline: label of the method that the others are compared with. Without a run of it the
            comparisons are left out, and the report says so.
        rng_seed: of the bootstrap.
        budget: which one to report; needed where the records hold several.
        notes: what is mixed in the records, as ``check_comparable(records, mixed=True)`` says it,
            for the report to say; without it, records of several kinds are refused.

    Returns:
        The folder.

    Raises:
        RecordError: no records, several budgets and none chosen, duplicate or malformed records,
            or several kinds of them without ``notes``.
    """
    folder = Path(folder)
    study = study_of(records, baseline=baseline, budget=budget, notes=notes)
    findings = findings_of(study, rng_seed)
    sections = all_sections(findings)
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).glob("*.png" if name == "figures" else "*.csv"):
            old.unlink()
    for section in sections:
        for part in section.paragraphs:
            if isinstance(part, Drawing):
                part.figure.savefig(folder / part.path)
        for table in section.tables:
            _write_csv(folder / "tables" / f"{table.name}.csv", table)
    text = to_markdown(sections)
    (folder / "report.md").write_text(text, encoding="utf-8", newline="\n")
    (folder / "report.html").write_text(to_html(text, folder, TITLE), encoding="utf-8")
    return folder


def all_sections(findings: StudyFindings) -> tuple[ReportSection, ...]:
    """The sections in their order; the first one has no number."""
    from .sections.capacity import capacity
    from .sections.equal_time import equal_time
    from .sections.errors_by_problem import errors_by_problem
    from .sections.overview import overview
    from .sections.performance import performance
    from .sections.ratios import ratios
    from .sections.regimes import regimes
    from .sections.regret import regret
    from .sections.signed_rank import signed_rank
    from .sections.what_was_run import what_was_run
    from .sections.worse import worse

    first = (overview, what_was_run, errors_by_problem, ratios, signed_rank, performance)
    makers = (*first, regimes, regret, equal_time, capacity, worse)
    return tuple(make(findings) for make in makers)


def to_markdown(sections: Sequence[ReportSection]) -> str:
    """One text, with numbered headings and links to them after the first section."""
    first, *rest = sections
    headings = [f"{i}. {section.title}" for i, section in enumerate(rest, 1)]
    contents = "\n".join(f"- [{h}](#{slug(h)})" for h in headings)
    blocks = [f"# {TITLE}", *_blocks(first), contents]
    for heading, section in zip(headings, rest, strict=True):
        blocks += [f"## {heading}", *_blocks(section)]
    return "\n\n".join(blocks) + "\n"


def _blocks(section: ReportSection) -> list[str]:
    found = []
    for part in section.paragraphs:
        if isinstance(part, Drawing):
            found += [f"![{part.name.replace('_', ' ')}]({part.path})", f"*{part.caption}*"]
        else:
            found.append(part)
    return found


def _write_csv(path: Path, table: Csv) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.header)
        writer.writerows(table.rows)
