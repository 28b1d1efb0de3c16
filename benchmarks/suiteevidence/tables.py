"""The tables of docs/evidence.md, from the records alone."""

from __future__ import annotations

import statistics

from conflictopt.experiment.report import family
from conflictopt.experiment.report.markdown import number, table
from conflictopt.experiment.report.statistics.pairing import (
    geometric_mean,
    problem_ratios,
)
from conflictopt.experiment.report.statistics.ratios import Ratio
from conflictopt.experiment.report.statistics.regret import CLOSE, WORSE
from conflictopt.experiment.report.statistics.shared import shared_of
from conflictopt.experiment.report.statistics.signed_rank import signed_ranks
from conflictopt.experiment.report.study import Study

from .goals import (
    LARGEST_RATIO,
    SMALLEST_SHARE,
    against,
    average,
    best_single,
    foresight,
    hindsight,
    standing,
)
from .grid import AUTO, BASELINE
from .halves import as_given
from .words import ratio, reached, share, title

Section = tuple[str, str]


def aims(reporting: Study, calibration: Study) -> Section:
    """The four aims: what was wanted, what was measured."""
    auto = standing(reporting, AUTO)
    alike = as_given(reporting)
    rows = [
        _aim_of_error(reporting),
        _aim_of_best("the method best on this half", reporting, best_single(reporting)),
        _aim_of_best("the best of those that add no parameters", reporting, best_single(alike)),
        _aim_of_best(
            "the method best on the calibration half", reporting, best_single(calibration)
        ),
        _aim_of_closeness("the best fixed method of each problem", reporting),
        _aim_of_closeness("the best of those that add no parameters", alike),
        [
            f"worse than {WORSE:g} times plain Adam",
            "on no problem",
            f"on {len(auto.worse)} of {auto.close.total}",
            reached(not auto.worse, None, 0),
        ],
    ]
    return "aims", table(["`auto`, reporting half", "aim", "measured", ""], rows, "l")


def _aim_of_error(study: Study) -> list[str]:
    found = standing(study, AUTO).to_plain
    said = _against_aim(found, LARGEST_RATIO)
    return ["error / that of plain Adam", f"at most {LARGEST_RATIO}", ratio(found), said]


def _aim_of_best(name: str, study: Study, best: str) -> list[str]:
    found = against(study, AUTO, best)
    said = _against_aim(found, 1.0)
    return [f"error / that of {name}, {title(best)}", "below 1", ratio(found), said]


def _against_aim(found: Ratio | None, aim: float) -> str:
    if found is None:
        return reached(False, None, aim)
    ends = found.interval
    return reached(found.value <= aim, ends and (ends.low, ends.high), aim)


def _aim_of_closeness(name: str, study: Study) -> list[str]:
    close = standing(study, AUTO).close
    said = reached(close.value >= SMALLEST_SHARE, close.interval, SMALLEST_SHARE)
    aim = f"on at least {100 * SMALLEST_SHARE:.0f} %"
    return [f"within {CLOSE:g} times {name}", aim, share(close), said]


def methods(study: Study, half: str) -> Section:
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


def families(study: Study) -> Section:
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


def ceiling(reporting: Study) -> Section:
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


def errors(study: Study) -> Section:
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
