"""The summaries as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence

from conflictopt.lab.study_report.markdown import code, table
from conflictopt.wording import counted, number

from .readings import FRACTIONS, Reading
from .summary import HARM, ProblemRow, losers_first, summarise

HOW = (
    "Error over that of {base} at its end, same problem and seed: geometric mean over seeds, then "
    "over problems. T is the CPU time of {base}: of runs whose budget is time as measured in plain "
    "steps along with each, of others that of {base}'s own record. Read from the curves, "
    "log-linear between notes. A run that ended by itself counts with its last error from then on; "
    "one that diverged or failed, from then on, with max(1, 10 times {base}'s error). A dash: the "
    "run's budget was over."
)


def page(
    found: Sequence[Reading],
    rows: Sequence[ProblemRow],
    base: str,
    noisy: Collection[str],
    at: float,
    focus: str,
) -> str:
    """All of it.

    Args:
        found, rows: readings, and what they come to per problem.
        base: the baseline's label.
        noisy: inverse problems with noisy data.
        at: the part of T at which problems are ranked.
        focus: the method by which they are ranked.
    """
    methods = list(dict.fromkeys(r.method for r in rows))
    problems = losers_first(rows, focus, at)
    parts = [HOW.format(base=code(base))]
    for title, members in (
        ("Problems without noise", [p for p in problems if p not in noisy]),
        ("Noisy inverse problems", [p for p in problems if p in noisy]),
    ):
        if members:
            parts += [f"## {title}: {len(members)}"]
            parts += [method_table(rows, methods, members, at)]
            parts += [_problems(rows, members, methods, at, focus)]
    return "\n\n".join([*parts, *_clocks(found)]) + "\n"


def method_table(
    rows: Sequence[ProblemRow], methods: Sequence[str], problems: Collection[str], at: float
) -> str:
    """One row for each method.

    Args:
        rows: what the readings come to per problem.
        methods: in this order.
        problems: of which the table tells.
        at: the part of T for the worst problem and the harmed ones.
    """
    summaries = [summarise(rows, m, problems, at) for m in methods]
    heads = ["method", *(f"{f:g} T" for f in FRACTIONS), f"worst at {at:g} T"]
    heads += [f"above {HARM:g}", "diverged", "runs"]
    rows = [
        [
            code(s.method),
            *(number(s.ratios[f], 2) for f in FRACTIONS),
            "-" if s.worst is None else f"{number(s.worst[1], 2)} ({code(s.worst[0])})",
            f"{len(s.harmed)} of {s.problems[at]}",
            str(s.diverged),
            str(s.runs),
        ]
        for s in summaries
    ]
    return table(heads, rows, "l" + "r" * len(FRACTIONS) + "lr")


def _problems(
    rows: Sequence[ProblemRow],
    problems: Sequence[str],
    methods: Sequence[str],
    at: float,
    focus: str,
) -> str:
    """One row for each problem: every method at that time, and the course of one."""
    by_cell = {(r.problem, r.method): r for r in rows}
    ordered = [focus, *(m for m in methods if m != focus)]
    others = [f for f in FRACTIONS if f != at]
    heads = ["problem", *(f"{code(m)}, {at:g} T" for m in ordered)]
    heads += [*(f"{code(focus)}, {f:g} T" for f in others), "ended"]
    lines = []
    for problem in problems:
        cells = [by_cell.get((problem, m)) for m in ordered]
        own = cells[0]
        lines.append(
            [
                code(problem),
                *(number(c.ratios[at], 2) if c else "-" for c in cells),
                *(number(own.ratios[f], 2) if own else "-" for f in others),
                ", ".join(own.endings) if own else "-",
            ]
        )
    return table(heads, lines, "l" + "r" * (len(heads) - 2) + "l")


def _clocks(found: Sequence[Reading]) -> Iterator[str]:
    """How steady the machine was."""
    clocks = [r.clock for r in found if r.clock is not None]
    drifts = [r.drift for r in found if r.drift is not None]
    if clocks and drifts:
        yield (
            f"Clock, {counted(len(clocks), 'run')}: T as measured over the recorded time of the "
            f"plain run, {_spread(clocks)}; the dearest plain step of a run over its cheapest, "
            f"{_spread(drifts)}."
        )


def _spread(values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"median {middle:.2f}, from {min(values):.2f} to {max(values):.2f}"
