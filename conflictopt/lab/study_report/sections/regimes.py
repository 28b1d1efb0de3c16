"""Section: the regimes of gradient conflict."""

from __future__ import annotations

from ....wording import number, percent
from ..family import PAPER
from ..figures.regime_bars import regime_bars
from ..markdown import code, escape, table
from ..report_section import Csv, Drawing, ReportSection
from ..statistics.regimes import SPLIT, UNDECIDED, GroupRegimes, ProblemRegime, group_regimes
from ..study_findings import StudyFindings

TITLE = "Regimes"
STATEMENT = (
    f"The abstract of {PAPER} states persistent directional conflict for forward problems with "
    "K=3 and thermoelastic ones with K=4, and magnitude imbalance for inverse problems with K=3 "
    "and for K=5 and K=6. Of parameter-varying and high-dimensional problems it says only that "
    "they are included."
)
_WORDS = {"persistent": "persistent conflict", "magnitude": "magnitude imbalance"}


def regimes(findings: StudyFindings) -> ReportSection:
    """Counts per family beside the abstract's statement."""
    study = findings.study
    if not findings.regimes:
        reason = f"Left out: the records have no run of the baseline {code(study.baseline)}."
        return ReportSection(TITLE, (reason,))
    groups = group_regimes(findings.regimes)
    how = (
        f"The diagnosis of the first steps of the {code(study.baseline)} runs: for each problem "
        f"the regime of most seeds; {SPLIT}: two regimes lead; {UNDECIDED}: no profile was long "
        "enough, or none was recorded. Agreement: the share of seeds with the leading regime, "
        "mean over problems with two profiles or more. Per problem: `tables/regimes.csv`."
    )
    drawing = Drawing(
        "regimes",
        "Regimes per group, as diagnosed; in brackets the number of problems.",
        regime_bars(groups),
    )
    return ReportSection(
        TITLE,
        (how, STATEMENT, _table(groups), *_sentence(groups), drawing),
        (_csv(findings.regimes),),
    )


def _table(groups: tuple[GroupRegimes, ...]) -> str:
    names = list(dict.fromkeys(n for g in groups for n in g.counts))
    header = ["group", "problems", *names, "agreement", "the abstract states", "as stated"]
    rows = [
        [
            escape(g.group),
            str(g.problems),
            *(str(g.counts.get(n, 0)) for n in names),
            percent(g.agreement),
            _WORDS[g.stated] if g.stated else "-",
            f"{g.counts[g.stated]} of {g.problems}" if g.stated else "-",
        ]
        for g in groups
    ]
    return table(header, rows, "l" + "r" * (len(names) + 2) + "lr")


def _sentence(groups: tuple[GroupRegimes, ...]) -> list[str]:
    stated = [g for g in groups if g.stated]
    if not stated:
        return []
    total = sum(g.problems for g in stated)
    agree = sum(g.counts[g.stated] for g in stated if g.stated)
    return [f"Where the abstract states a regime, {agree} of {total} problems are diagnosed so."]


def regime_text(regime: ProblemRegime) -> str:
    """``magnitude (3 of 3 seeds)``."""
    if regime.agreement is None:
        return regime.regime
    agree = round(regime.agreement * regime.seeds)
    return f"{regime.regime} ({agree} of {regime.seeds})"


def pair_text(regime: ProblemRegime) -> str:
    """The worst pair with its numbers; a dash without one."""
    p = regime.worst
    if p is None:
        return "-"
    names = escape(f"{p.first} / {p.second}")
    return f"{names}: conflict {percent(p.conflict_late)}, cosine {number(p.cosine_late, 2)}"


def _csv(found: tuple[ProblemRegime, ...]) -> Csv:
    header = ["problem", "group", "regime", "seeds", "agreement", "norm_ratio"]
    header += ["worst_first", "worst_second", "conflict_late", "cosine_late"]
    rows = []
    for r in found:
        p = r.worst
        worst = [p.first, p.second, p.conflict_late, p.cosine_late] if p else [None] * 4
        rows.append([r.problem, r.group, r.regime, r.seeds, r.agreement, r.norm_ratio, *worst])
    return Csv("regimes", header, rows)
