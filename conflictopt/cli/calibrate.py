"""``calibrate``: fit the rule of selection to the records of a study, or judge one on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..lab.calibration import Calibration, Evidence
    from ..lab.problems.halves import Half
    from ..lab.study_report.statistics.ratios import Ratio


@dataclass(frozen=True)
class Selection:
    """Which records a rule is fitted to.

    Attributes:
        half: of the suite; all problems without it.
        methods: candidates, joined by commas; all that plans can carry out without it.
        budget: whose records.
        mixed: use records of several versions all the same.
    """

    half: Half | None
    methods: str | None
    budget: str | None
    mixed: bool

    def words(self, folder: Path) -> str:
        """The command that makes this selection."""
        options = {"half": self.half, "methods": self.methods, "budget": self.budget}
        given = [f"--{name} {value}" for name, value in options.items() if value is not None]
        return " ".join(
            ["conflictopt calibrate", str(folder), *given, *(["--mixed"] if self.mixed else [])]
        )

    def evidence(self, folder: Path) -> Evidence:
        """What the records in a folder say.

        Raises:
            ConflictOptError: see ``gather``.
        """
        from ..lab.calibration import gather
        from ..lab.runs.identity import check_comparable
        from ..lab.runs.stored import load
        from ..methods.expression import parse_methods

        labels = [m.label for m in parse_methods(self.methods)] if self.methods else None
        records = [r for r in load(folder) if self.budget in (None, r["budget"])]
        mixtures = check_comparable(records, mixed=self.mixed)
        return gather(records, half=self.half, methods=labels, budget=self.budget, mixed=mixtures)


def calibrate(folder: Path, out: Path, selection: Selection) -> None:
    """Fit a rule to the records in a folder, print what it is worth, write it."""
    from ..lab.calibration import calibrate as fitted

    evidence = selection.evidence(folder)
    found = fitted(evidence)
    about = f"made by '{selection.words(folder)}' from {evidence.source}."
    path = replace(found.rule, about=about).save(out)
    console = Console(highlight=False)
    _print(console, summary(found))
    console.print(f"\nRule: {escape(str(path))}", soft_wrap=True)
    console.print(
        f"  rule = conflictopt.Rule.load({escape(repr(str(path)))})\n"
        "  plan = conflictopt.select(conflictopt.diagnose(profile, rule.thresholds), rule=rule)",
        soft_wrap=True,
    )


def judge(folder: Path, file: Path, selection: Selection) -> None:
    """Print what the rule of a file is worth on the records in a folder."""
    from ..lab.calibration import judge as judged
    from ..selection.rule import Rule

    rule = Rule.load(file)
    evidence = selection.evidence(folder)
    found = judged(evidence, rule)
    table = _table(f"Error of the rule relative to others (95 % interval): {file}", "relative to")
    for label, ratio in found.against.items():
        name = "none (plain training)" if label == evidence.labels[0] else f"always {label}"
        table.add_row(escape(name), *_cells(ratio))
    counts = ", ".join(f"{name} {number}" for name, number in sorted(found.runs.items()))
    parts = [*_sources(evidence), table, Text(f"Runs by situation: {counts}.")]
    _print(Console(highlight=False), parts)


def _print(console: Console, parts: Iterable[RenderableType]) -> None:
    for part in parts:
        console.print(part, soft_wrap=not isinstance(part, Table))


def _sources(evidence: Evidence) -> Iterator[RenderableType]:
    yield Text(f"{evidence.source}.")
    for label, why in evidence.left_out.items():
        yield Text(f"left out: {label} ({why})", style="dim")
    for note in evidence.notes:
        yield Text(f"note: {note}", style="dim")


def summary(found: Calibration) -> Iterator[RenderableType]:
    """What to print: candidates per situation, what was chosen and why, what it is worth."""
    yield from _sources(found.evidence)
    yield _candidates(found)
    for result in found.situations:
        yield Text.assemble((f"{result.name}: {result.chosen}", "bold"), f"; {result.why}.")
    yield Text.assemble(("thresholds: ", "bold"), found.thresholds)
    yield _worth(found)
    yield Text(found.verdict, style="bold")


def _candidates(found: Calibration) -> Table:
    title = "Error relative to plain training, geometric mean over problems (95 % interval)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("situation", no_wrap=True)
    table.add_column("problems", justify="right")
    table.add_column("method", overflow="fold")
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("interval", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for result in found.situations:
        for i, (label, ratio) in enumerate(result.ratios.items()):
            marks = ["chosen"] if label == result.chosen else []
            marks += ["fails on a problem"] if label in result.broken else []
            first = (result.name, str(result.problems)) if i == 0 else ("", "")
            table.add_row(*first, escape(label), *_cells(ratio), ", ".join(marks))
        table.add_section()
    return table


def _worth(found: Calibration) -> Table:
    title = "On problems that had no say in the choice (leave one problem out)"
    table = _table(title, "choice", "error relative to plain")
    worth = found.worth
    table.add_row("the rule", *_cells(worth.rule))
    table.add_row(f"always the default ({escape(found.default)})", *_cells(worth.always))
    table.add_row("the best of each problem, with hindsight", *_cells(worth.oracle))
    return table


def _table(title: str, what: str, number: str = "error") -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(what, overflow="fold")
    table.add_column(number, justify="right", no_wrap=True)
    table.add_column("interval", justify="right", no_wrap=True)
    return table


def _cells(ratio: Ratio) -> tuple[str, str]:
    from ..lab.calibration.writing import bounds

    return f"{ratio.value:.3g}", bounds(ratio.interval).strip()
