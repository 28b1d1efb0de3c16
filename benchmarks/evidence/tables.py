"""The tables of docs/evidence.md, from the records alone."""

from __future__ import annotations

import statistics

from conflictopt.lab.problems.halves import HALVES, half_of
from conflictopt.lab.study_report import family
from conflictopt.lab.study_report.markdown import table
from conflictopt.lab.study_report.statistics.pairing import geometric_mean, problem_ratios
from conflictopt.lab.study_report.statistics.ratios import Ratio
from conflictopt.lab.study_report.statistics.regret import CLOSE, WORSE
from conflictopt.lab.study_report.statistics.shared import shared_of
from conflictopt.lab.study_report.statistics.signed_rank import signed_ranks
from conflictopt.lab.study_report.study import Study
from conflictopt.wording import number

from .goals import (
    LARGEST_RATIO,
    SMALLEST_SHARE,
    Share,
    against,
    average,
    best_single,
    foresight,
    hindsight,
    standing,
)
from .grid import AUTO, BASELINE, SHORT
from .halves import as_given, of_seeds, restricted
from .words import ratio, reached, share, title

NamedTable = tuple[str, str]


def aims(reporting: Study, calibration: Study) -> NamedTable:
    """The four aims: what was wanted, what was measured."""
    both = zip(_wanted(reporting, calibration), _measured(reporting, calibration), strict=True)
    rows = [[*wanted, *measured] for wanted, measured in both]
    return "aims", table(["`auto`, reporting half", "aim", "measured", ""], rows, "l")


def _wanted(reporting: Study, calibration: Study) -> list[tuple[str, str]]:
    best, alike = (title(best_single(s)) for s in (reporting, as_given(reporting)))
    often = f"on at least {100 * SMALLEST_SHARE:.0f} %"
    before = title(best_single(calibration))
    return [
        ("error / that of plain Adam", f"at most {LARGEST_RATIO}"),
        (f"error / that of the method best on this half, {best}", "below 1"),
        (f"error / that of the best of those that add no parameters, {alike}", "below 1"),
        (f"error / that of the method best on the calibration half, {before}", "below 1"),
        (f"within {CLOSE:g} times the best fixed method of each problem", often),
        (f"within {CLOSE:g} times the best of those that add no parameters", often),
        (f"worse than {WORSE:g} times plain Adam", "on no problem"),
    ]


def _measured(reporting: Study, calibration: Study) -> list[tuple[str, str]]:
    """What ``auto`` comes to, and whether that is the aim, in the order of ``_wanted``."""
    found, alike = standing(reporting, AUTO), as_given(reporting)
    rivals = [best_single(s) for s in (reporting, alike, calibration)]
    worse = f"on {len(found.worse)} of {found.close.total}"
    return [
        _below(found.to_plain, LARGEST_RATIO),
        *(_below(against(reporting, AUTO, rival), 1.0) for rival in rivals),
        *(_often(standing(study, AUTO).close) for study in (reporting, alike)),
        (worse, reached(not found.worse, None, 0)),
    ]


def _below(found: Ratio | None, aim: float) -> tuple[str, str]:
    ends = found.interval if found else None
    is_below = found is not None and found.value <= aim
    return ratio(found), reached(is_below, ends and (ends.low, ends.high), aim)


def _often(found: Share) -> tuple[str, str]:
    is_often = found.value >= SMALLEST_SHARE
    return share(found), reached(is_often, found.interval, SMALLEST_SHARE)


def methods(study: Study, half: str) -> NamedTable:
    """Every method against plain training, by the measures of the aims."""
    tests = {t.method: t for t in signed_ranks(study, study.others, BASELINE)}
    rows = []
    for method in sorted(study.others, key=lambda m: average(study, m)):
        found, test = standing(study, method), tests[method]
        to_plain = problem_ratios(study, method, BASELINE)
        worst = max(to_plain, key=lambda p: to_plain[p])
        rows.append(
            [
                title(method),
                ratio(found.to_plain),
                f"{statistics.median(to_plain.values()):.2f}",
                f"{number(to_plain[worst])} (`{worst}`)",
                f"{test.lower} / {test.problems - test.lower - test.higher} / {test.higher}",
                str(len(found.worse)),
                share(found.close),
                "-" if test.p_holm is None else f"{test.p_holm:.2g}",
            ]
        )
    plain = share(standing(study, BASELINE).close)
    rows.append([title(BASELINE), *("-",) * 5, plain, "-"])
    heads = ["method", "error / plain's", "median", "worst problem", "lower / equal / higher"]
    heads += [f"above {WORSE:g}", f"within {CLOSE:g} of the best", "p (Holm)"]
    return f"methods, {half}", table(heads, rows, "l")


def families(study: Study) -> NamedTable:
    """The ratio to plain by family, both halves together."""
    heads = ["family", "problems", *(title(m) for m in study.others)]
    rows = []
    for name in study.families:
        row = [family.title(name), str(len(study.members(name)))]
        for method in study.others:
            found = problem_ratios(study, method, BASELINE)
            values = [found[p] for p in study.members(name) if p in found]
            row.append(f"{geometric_mean(values):.2f}" if values else "-")
        rows.append(row)
    return "families", table(heads, rows, "l")


def ceiling(reporting: Study) -> NamedTable:
    """What the best choice per problem would be worth."""
    auto = standing(reporting, AUTO)
    fair = foresight(reporting)
    rows = [
        ["chosen and judged on the same seeds", f"{hindsight(reporting):.2f}", "100 %"],
        [
            "chosen on the other seeds",
            f"{fair[0]:.2f}" if fair else "-",
            share(fair[1]) if fair else "-",
        ],
        ["`auto`", ratio(auto.to_plain), share(auto.close)],
    ]
    within = f"within {CLOSE:g} of the best"
    heads = ["best fixed method of each problem", "error / plain's", within]
    return "ceiling", table(heads, rows, "l")


def short_profile(study: Study) -> NamedTable:
    """``auto`` with a shorter profile, on the seeds that were run with it."""
    runs = of_seeds(study, {run.seed for run in study.runs if run.method == SHORT})
    rows = []
    for half in HALVES:
        problems = {p for p in runs.problems if half_of(p) == half}
        part = restricted(runs, problems, {BASELINE, AUTO, SHORT})
        for method in (AUTO, SHORT):
            found = problem_ratios(part, method, BASELINE)
            worst = max(found, key=lambda p: found[p])
            cells = [ratio(against(part, method, BASELINE)), f"{number(found[worst])} (`{worst}`)"]
            above = sum(r > WORSE for r in found.values())
            rows.append([half, str(len(found)), title(method), *cells, str(above)])
    heads = ["half", "problems", "method", "error / plain's", "worst problem", f"above {WORSE:g}"]
    return "short profile", table(heads, rows, "l")


def errors(study: Study) -> NamedTable:
    """Errors of every problem and method, geometric mean over seeds; the lowest in bold."""
    shared = shared_of(study)
    rows = []
    for problem in shared.problems:
        values = [shared.errors[problem, m] for m in study.methods]
        cells = [
            (f"**{v:.2g}**" if v == min(values) else f"{v:.2g}")
            + "!" * ((problem, m) in shared.failed)
            for m, v in zip(study.methods, values, strict=True)
        ]
        rows.append([f"`{problem}`", *cells])
    return "errors", table(["problem", *(title(m) for m in study.methods)], rows, "l")
