"""Section: where methods lose."""

from __future__ import annotations

from collections import Counter

from ....wording import counted, joined, number, times
from ..label import is_auto
from ..markdown import code, table
from ..report_section import Csv, ReportSection
from ..statistics.pairing import problem_ratios
from ..statistics.regret import WORSE
from ..statistics.worse import AutoChoice, Worse
from ..study_findings import StudyFindings
from .ratios import no_comparison
from .regimes import pair_text, regime_text

TITLE = "Where we lose"
_NAMED = 3
"""Problems named per fixed method; all of them are in the CSV file."""


def worse(findings: StudyFindings) -> ReportSection:
    """Problems on which ``auto``, and each method, is worse than the baseline."""
    study = findings.study
    if reason := no_comparison(findings):
        return ReportSection(TITLE, (reason,))
    how = (
        f"Problems on which a method's error is more than {WORSE:g} times that of "
        f"{code(study.baseline)} (geometric mean over seeds; failed runs count as in section 3). "
        "Regime, gradient-norm ratio and the pair of losses with the lowest mean cosine (in the "
        "last half of the profile) are those of the baseline's runs, means over seeds."
    )
    paragraphs = [how]
    autos = [m for m in study.others if is_auto(m)]
    for method in autos:
        paragraphs += _auto(findings, method)
    if not autos:
        paragraphs.append("The records have no run of `auto`.")
    if any(not is_auto(m) for m in study.others):
        paragraphs += ["### Fixed methods", _fixed(findings)]
    return ReportSection(TITLE, tuple(paragraphs), (_csv(findings.worse),))


def _auto(findings: StudyFindings, method: str) -> list[str]:
    found = [w for w in findings.worse if w.method == method]
    total = len(problem_ratios(findings.study, method, findings.study.baseline))
    heading = f"### {code(method)}: {len(found)} of {counted(total, 'problem')}"
    if not found:
        return [heading, f"On no problem is it worse than {WORSE:g} times the baseline."]
    rows = [
        [
            code(w.problem),
            _ratio(w),
            regime_text(w.regime),
            number(w.regime.norm_ratio),
            pair_text(w.regime),
            "; ".join(_choice(c, len(findings.study.seeds)) for c in w.choices) or "not recorded",
        ]
        for w in found
    ]
    header = ("problem", "ratio", "regime (seeds)", "norm ratio", "worst pair", "what it chose")
    return [heading, table(header, rows, "lrlrll"), _summary(found)]


def _choice(choice: AutoChoice, seeds: int) -> str:
    of = f" ({counted(choice.seeds, 'seed')})" if seeds > 1 else ""
    if choice.fixed is None:
        return f"chose {code(choice.chosen)}{of}; not run as a fixed method"
    return f"chose {code(choice.chosen)}{of}; fixed from the start it gives {times(choice.fixed)}"


def _summary(found: list[Worse]) -> str:
    first = [w.choices[0].fixed for w in found if w.choices]
    known = [f for f in first if f is not None]
    bad = sum(f > WORSE for f in known)
    words = (
        f"Of these {counted(len(found), 'problem')}, {len(known)} have a run of the (most "
        f"frequent) choice as a fixed method; on {bad} of those it is worse than {WORSE:g} times "
        f"the baseline as well, on {len(known) - bad} it is not."
    )
    regimes = Counter(w.regime.regime for w in found)
    return f"{words} By regime: {_counts(regimes)}."


def _fixed(findings: StudyFindings) -> str:
    study = findings.study
    rows = []
    for method in (m for m in study.others if not is_auto(m)):
        found = [w for w in findings.worse if w.method == method]
        total = len(problem_ratios(study, method, study.baseline))
        named = ", ".join(f"{code(w.problem)} {_ratio(w)}" for w in found[:_NAMED])
        regimes = _counts(Counter(w.regime.regime for w in found)) if found else "-"
        rows.append([code(method), f"{len(found)} of {total}", regimes, named or "-"])
    header = ("method", "worse on", "their regimes", f"the worst {_NAMED}")
    return table(header, rows, "lrll")


def _ratio(found: Worse) -> str:
    return times(found.ratio) + (f" ({found.failed} failed)" if found.failed else "")


def _counts(regimes: Counter[str]) -> str:
    order = sorted(regimes.items(), key=lambda item: (-item[1], item[0]))
    return joined([f"{n} {name}" for name, n in order])


def _csv(found: tuple[Worse, ...]) -> Csv:
    header = ["method", "problem", "ratio", "failed", "regime", "norm_ratio", "worst_first"]
    header += ["worst_second", "conflict_late", "cosine_late", "choices", "choice_fixed_ratio"]
    rows = []
    for w in found:
        p = w.regime.worst
        pair = [p.first, p.second, p.conflict_late, p.cosine_late] if p else [None] * 4
        chosen = " ".join(f"{c.chosen} x{c.seeds}" for c in w.choices)
        fixed = w.choices[0].fixed if w.choices else None
        row = [w.method, w.problem, w.ratio, w.failed, w.regime.regime, w.regime.norm_ratio]
        rows.append([*row, *pair, chosen, fixed])
    return Csv("worse", header, rows)
