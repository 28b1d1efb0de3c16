"""The table of docs/scripts.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conflictopt.lab.study_report.markdown import table
from conflictopt.lab.study_report.statistics.pairing import geometric_mean
from conflictopt.wording import number

from ..equal_time.summary import HARM
from .scripts import PublicScript, public_scripts

Runs = dict[str, dict[str, Any]]


def sections(records: dict[str, Runs]) -> Iterator[tuple[str, str]]:
    """The summary, and the scripts, those on which ``auto`` loses first."""
    done = _done(records)
    yield "summary", _summary(done)
    heads = ["script", "what", "error as it is", "ratio", "CPU time", "verdict", "plan"]
    yield "scripts", table(heads, [r.cells() for r in done], "llrrrll")


@dataclass(frozen=True)
class Judged:
    """What it came to on all of them.

    Attributes:
        count: of the scripts.
        ratio: of errors, the geometric mean.
        worse: on which it did worse, by name.
    """

    count: int
    ratio: float
    worse: tuple[str, ...]


def judged(records: dict[str, Runs]) -> Judged:
    """That of all runs."""
    rows = _done(records)
    return Judged(len(rows), _mean(rows), tuple(r.script.name for r in rows if r.mean > HARM))


def _done(records: dict[str, Runs]) -> list[_Row]:
    """Those on which it loses first."""
    rows = [_Row(s, records[s.name]) for s in public_scripts() if s.name in records]
    return sorted((r for r in rows if r.ratios), key=lambda r: -r.mean)


class _Row:
    """A script with its runs."""

    def __init__(self, script: PublicScript, runs: Runs) -> None:
        self.script = script
        seeds = {label.rpartition(" ")[2] for label in runs}
        pairs = [(runs.get(f"none, seed {s}"), runs.get(f"auto, seed {s}")) for s in sorted(seeds)]
        self.pairs = [(p, a) for p, a in pairs if _judged(p) and _judged(a)]
        self.ratios = [_ratio(a, p) for p, a in self.pairs]
        self.mean = geometric_mean(self.ratios) if self.ratios else math.nan
        self.costs = [a["cpu_seconds"] / p["cpu_seconds"] for p, a in self.pairs]

    def cells(self) -> list[str]:
        plain = statistics.median(geometric_mean(list(p["errors"].values())) for p, _ in self.pairs)
        worst = f" ({number(max(self.ratios), 2)})" if len(self.ratios) > 1 else ""
        treated = self.pairs[0][1]
        return [
            f"[{self.script.name}]({self.script.address})",
            f"{self.script.kind}: {self.script.equation}",
            number(plain, 2),
            f"{number(self.mean, 2)}{worst}",
            f"{statistics.median(self.costs):.2f}",
            treated["regime"] or "none",
            treated["plan"] or "none",
        ]


def _summary(rows: list[_Row]) -> str:
    above = [r.script.name for r in rows if r.mean > HARM]
    costs = [c for r in rows for c in r.costs]
    return "\n".join(
        (
            f"- {len(rows)} scripts, {sum(len(r.ratios) for r in rows)} pairs of runs.",
            f"- Error of `auto` over that of plain training: {number(_mean(rows), 2)} in the "
            f"geometric mean over scripts, median "
            f"{number(statistics.median(r.mean for r in rows), 2)}.",
            f"- Above {HARM:g}: {len(above)}{': ' if above else ''}{', '.join(above)}.",
            f"- CPU time over plain's: median {statistics.median(costs):.2f}, at most "
            f"{max(costs):.2f}.",
        )
    )


def _mean(rows: list[_Row]) -> float:
    return geometric_mean([r.mean for r in rows])


def _judged(run: dict[str, Any] | None) -> bool:
    return run is not None and bool(run.get("errors"))


def _ratio(run: dict[str, Any], plain: dict[str, Any]) -> float:
    pairs = [(run["errors"][name], before) for name, before in plain["errors"].items()]
    return geometric_mean([_at_least(a) / _at_least(b) for a, b in pairs])


def _at_least(error: float) -> float:
    """No error is told below the rounding of what prints it."""
    return max(error, 1e-12)
