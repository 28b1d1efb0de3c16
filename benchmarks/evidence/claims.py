"""The claims of the paper's abstract, one by one, with the numbers that decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from conflictopt.lab.study_report import family
from conflictopt.lab.study_report.markdown import table
from conflictopt.lab.study_report.statistics.ratios import Ratio
from conflictopt.lab.study_report.statistics.regimes import (
    REGIMES,
    SPLIT,
    GroupRegimes,
    group_regimes,
    problem_regimes,
)
from conflictopt.lab.study_report.statistics.regret import CLOSE, WORSE
from conflictopt.lab.study_report.statistics.shared import shared_of
from conflictopt.lab.study_report.study import Study

from .goals import against
from .grid import ADAPTERS, AUTO, BASELINE, GLOBAL, METHODS, PLAN, WIDE, inverse_problems
from .halves import restricted
from .words import ratio, title

Verdict = Literal["reproduced", "not reproduced", "undecided", "without runs", "-"]


@dataclass(frozen=True)
class ClaimComparison:
    """Two methods on some problems, and what it says of a claim that the first is better.

    Attributes:
        better: whether the claim wants the ratio below ``margin``, or above it; ``None`` for a
            comparison that is only told.
        margin: the ratio that tells the claim from its opposite.
    """

    where: str
    method: str
    other: str
    found: Ratio | None
    better: bool | None = True
    margin: float = 1.0

    @property
    def verdict(self) -> Verdict:
        """By whether the 95 % interval is on the side that the claim says."""
        if self.found is None:
            return "without runs"
        if self.better is None:
            return "-"
        ends = self.found.interval
        if ends is None or ends.low <= self.margin <= ends.high:
            return "undecided"
        return "reproduced" if (ends.high < self.margin) == self.better else "not reproduced"

    @property
    def row(self) -> list[str]:
        """Of a table."""
        problems = str(self.found.problems) if self.found else "0"
        cells = [self.where, title(self.method), title(self.other), problems]
        return [*cells, ratio(self.found), self.verdict]


def regimes(study: Study) -> tuple[str, str]:
    """Regimes by group, over the profiles of all plain runs, beside what the abstract states."""
    found, close = problem_regimes(study), too_close(study)
    rows = []
    for group in group_regimes(found):
        counts = [str(group.counts.get(k, 0)) for k in (*REGIMES, SPLIT)]
        near = sum(p.group == group.group and p.problem in close for p in found)
        agreement = "-" if group.agreement is None else f"{group.agreement:.0%}".replace("%", " %")
        counted = [*counts, str(near), agreement, verdict_of(group)]
        rows.append([group.group, group.stated or "-", *counted])
    heads = ["group", "abstract", *REGIMES, SPLIT, "too close to call", "seeds that agree", ""]
    return "claim: regimes", table(heads, rows, "l")


def too_close(study: Study) -> set[str]:
    """The problems whose verdicts are too close to call in most seeds.

    By the runs of ``auto``, whose records say so; their first 1000 steps are those of plain runs.
    """
    near = set()
    for problem in study.problems:
        firsts = [run.record["decisions"][0] for run in study.of(problem, AUTO)]
        if 2 * sum(first["too_close"] for first in firsts) > len(firsts):
            near.add(problem)
    return near


def verdict_of(group: GroupRegimes) -> str:
    """Whether the regime that the abstract states is that of most problems of the group."""
    if group.stated is None:
        return "-"
    most = max(group.counts.values())
    leading = [k for k, n in group.counts.items() if n == most]
    if group.stated not in leading:
        return "not reproduced"
    return "reproduced" if len(leading) == 1 else "undecided"


def comparisons(study: Study) -> dict[str, list[ClaimComparison]]:
    """Per claim, the comparisons that it calls for."""
    members = by_regime(study)
    persistent, rivals = members["persistent"], (BASELINE, "ntk", WIDE)
    heavy, forward = (_stated(study, regime) for regime in ("magnitude", "persistent"))
    return {
        "adapters under persistent conflict": [
            *_compared(study, "persistent by the profile", persistent, ADAPTERS, *rivals),
            *_compared(study, "forward K=3, thermoelastic K=4", forward, ADAPTERS, *rivals),
        ],
        "reweighting under magnitude imbalance": [
            *_compared(study, "magnitude by the profile", members["magnitude"], "ntk", BASELINE),
            *_compared(study, "inverse, K=5, K=6", heavy, "ntk", BASELINE, ADAPTERS),
        ],
        "surgery on heterogeneous parameter spaces": list(_surgery(study)),
        "nothing under low conflict": [
            *_compared(
                study,
                "benign by the profile",
                members["benign"],
                BASELINE,
                "ntk",
                PLAN,
                margin=WORSE,
            ),
        ],
    }


def _surgery(study: Study) -> Iterator[ClaimComparison]:
    where, inverse = "inverse K=3", inverse_problems()
    for whole, name in zip(GLOBAL, ("pcgrad", "config"), strict=True):
        yield from _compared(study, where, inverse, whole, name, BASELINE, better=False)
        yield from _compared(study, where, inverse, name, BASELINE, better=None)


def _compared(
    study: Study,
    where: str,
    problems: Iterable[str],
    method: str,
    *others: str,
    better: bool | None = True,
    margin: float = 1.0,
) -> Iterator[ClaimComparison]:
    members = set(problems)
    for other in others:
        found = against(restricted(study, members, {method, other}), method, other)
        yield ClaimComparison(where, method, other, found, better, margin)


def by_regime(study: Study) -> dict[str, set[str]]:
    """The problems of each regime, by the majority of their seeds' profiles."""
    found = problem_regimes(study)
    return {regime: {p.problem for p in found if p.regime == regime} for regime in REGIMES}


def _stated(study: Study, regime: str) -> set[str]:
    """The problems of the groups for which the abstract states a regime."""
    found = problem_regimes(study)
    return {p.problem for p in found if family.stated_regime(p.group) == regime}


def claims(study: Study) -> Iterator[tuple[str, str]]:
    """The tables of all claims."""
    yield regimes(study)
    heads = ["problems", "method", "over", "number", "ratio of errors", "the claim is"]
    for name, found in comparisons(study).items():
        yield f"claim: {name}", table(heads, [c.row for c in found], "l")
    main = restricted(study, set(study.problems), METHODS)
    yield "claim: no universal remedy", remedies(main)


def remedies(study: Study) -> str:
    """On how many problems each fixed method has the lowest error, and how often clearly so."""
    shared = shared_of(study)
    best: Counter[str] = Counter()
    clear: Counter[str] = Counter()
    for problem in shared.problems:
        first, second, *_ = sorted(study.fixed, key=lambda m: shared.errors[problem, m])
        best[first] += 1
        clear[first] += shared.errors[problem, second] > CLOSE * shared.errors[problem, first]
    rows = [
        [title(m), str(best[m]), str(clear[m])]
        for m in sorted(study.fixed, key=lambda m: (-best[m], -clear[m]))
    ]
    heads = ["method", "lowest error", f"every other above {CLOSE:g} times it"]
    return table(heads, rows, "l")
