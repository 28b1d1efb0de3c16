"""The claims of the paper's abstract, one by one, with the numbers that decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from conflictopt.experiment.report.markdown import table
from conflictopt.experiment.report.statistics.ratios import Ratio
from conflictopt.experiment.report.statistics.regimes import (
    REGIMES,
    group_regimes,
    problem_regimes,
)
from conflictopt.experiment.report.statistics.shared import shared_of
from conflictopt.experiment.report.study import Study

from .goals import against
from .grid import ADAPTERS, BASELINE, GLOBAL, WIDE
from .halves import restricted
from .words import ratio, title

Verdict = Literal["reproduced", "not reproduced", "undecided", "without runs"]
INVERSE = "inverse_k3"
STATED = {
    "magnitude": (INVERSE, "multiphysics_k5", "multiphysics_k6"),
    "persistent": ("forward_k3", "multiphysics_k4"),
}
"""Families for which the abstract states a regime (K=4: the thermoelastic problems)."""


@dataclass(frozen=True)
class Comparison:
    """Two methods on some problems, and what it says of a claim that the first is better.

    Attributes:
        better: whether the claim wants the first method to have the lower error.
    """

    where: str
    method: str
    other: str
    found: Ratio | None
    better: bool = True

    @property
    def verdict(self) -> Verdict:
        """By whether the 95 % interval is on the side that the claim says."""
        if self.found is None:
            return "without runs"
        ends = self.found.interval
        if ends is None or ends.low <= 1 <= ends.high:
            return "undecided"
        return "reproduced" if (ends.high < 1) == self.better else "not reproduced"

    @property
    def row(self) -> list[str]:
        """Of a table."""
        problems = str(self.found.problems) if self.found else "0"
        cells = [self.where, title(self.method), title(self.other), problems]
        return [*cells, ratio(self.found), self.verdict]


def regimes(study: Study) -> tuple[str, str]:
    """Regimes by group, over the profiles of all seeds, beside what the abstract states."""
    rows = []
    for group in group_regimes(problem_regimes(study)):
        counts = [str(group.counts.get(k, 0)) for k in ("persistent", "magnitude", "benign")]
        other = group.problems - sum(map(int, counts))
        agreement = "-" if group.agreement is None else f"{group.agreement:.0%}".replace("%", " %")
        verdict = _of_regime(group.counts, group.stated)
        rows.append([group.group, group.stated or "-", *counts, str(other), agreement, verdict])
    heads = ["group", "abstract", "persistent", "magnitude", "benign", "split or undecided"]
    return "claim: regimes", table([*heads, "seeds that agree", ""], rows, "l")


def _of_regime(counts: dict[str, int], stated: str | None) -> str:
    if stated is None:
        return "-"
    most = max(counts.values())
    leading = [k for k, n in counts.items() if n == most]
    return "reproduced" if leading == [stated] else "not reproduced"


def comparisons(study: Study) -> dict[str, list[Comparison]]:
    """Per claim, the comparisons that it calls for."""
    members = by_regime(study)
    persistent = members["persistent"]
    heavy, forward = (_of_families(study, STATED[r]) for r in ("magnitude", "persistent"))
    return {
        "adapters under persistent conflict": [
            *_compared(study, "persistent by the profile", persistent, ADAPTERS, BASELINE, "ntk"),
            *_compared(study, "persistent by the profile", persistent, ADAPTERS, WIDE),
            *_compared(study, "forward K=3, K=4", forward, ADAPTERS, BASELINE, "ntk", WIDE),
        ],
        "reweighting under magnitude imbalance": [
            *_compared(study, "magnitude by the profile", members["magnitude"], "ntk", BASELINE),
            *_compared(study, "inverse, K=5, K=6", heavy, "ntk", BASELINE, ADAPTERS),
        ],
        "surgery on heterogeneous parameter spaces": list(
            _surgery(study, _of_families(study, (INVERSE,)))
        ),
        "nothing under low conflict": [
            *_compared(study, "benign by the profile", members["benign"], BASELINE, "ntk"),
        ],
    }


def _surgery(study: Study, inverse: Iterable[str]) -> Iterator[Comparison]:
    inverse = tuple(inverse)
    for whole, name in zip(GLOBAL, ("pcgrad", "config"), strict=True):
        for other in (name, BASELINE):
            found = against(restricted(study, inverse, {whole, other}), whole, other)
            yield Comparison("inverse K=3", whole, other, found, better=False)
        yield from _compared(study, "inverse K=3", inverse, name, BASELINE)


def _compared(
    study: Study, where: str, problems: Iterable[str], method: str, *others: str
) -> Iterator[Comparison]:
    members = set(problems)
    for other in others:
        found = against(restricted(study, members, {method, other}), method, other)
        yield Comparison(where, method, other, found)


def by_regime(study: Study) -> dict[str, set[str]]:
    """The problems of each regime, by the majority of their seeds' profiles."""
    found = problem_regimes(study)
    return {regime: {p.problem for p in found if p.regime == regime} for regime in REGIMES}


def _of_families(study: Study, names: Collection[str]) -> set[str]:
    return {p for p in study.problems if study.family_of[p] in names}


def claims(study: Study) -> Iterator[tuple[str, str]]:
    """The tables of all claims."""
    yield regimes(study)
    heads = ["problems", "method", "over", "number", "ratio of errors", "the claim is"]
    for name, found in comparisons(study).items():
        yield f"claim: {name}", table(heads, [c.row for c in found], "l")
    yield "claim: no universal remedy", remedies(study)


def remedies(study: Study) -> str:
    """On how many problems each method has the lowest error, and how often that is beyond doubt."""
    shared = shared_of(study)
    fixed = study.fixed
    best = Counter(min(fixed, key=lambda m: shared.errors[p, m]) for p in shared.problems)
    rows = [[title(m), str(best[m])] for m in sorted(fixed, key=lambda m: -best[m])]
    return table(["method", "problems with the lowest error"], rows, "l")
