"""Prints the verdict on a script and writes its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.errors import ConflictOptError
from ..diagnosis.replay import replay
from ..methods.registry import make
from ..optim.line_search import searches_lines
from ..report.content import ReportContent
from ..report.folder import write_json, write_report
from ..report.parts import ReportTable
from ..report.script import Script
from ..report.terminal import print_report
from ..selection.plan import Plan
from ..selection.rule import Rule
from .kernel import kernel_tables

REPLAYED = ("sum", "pcgrad", "config", "grad_norm")
"""The plain step, two kinds of surgery, and reweighting."""


def report(
    console: Console,
    made: Any,
    folder: Path,
    script: Script,
    which: tuple[int, int] = (1, 1),
    outcome: Mapping[str, Any] | None = None,
) -> None:
    """Print what was found about a model, and write it down.

    Args:
        made: the patch of the model.
        folder: of the report.
        script: that was run.
        which: number of the model among those that the script trained, and how many these are.
        outcome: what the training came to; ``None`` if the script was stopped after the profile.
    """
    made.conclude()
    about: dict[str, Any] = {"script": script.path, "arguments": list(script.arguments)}
    about |= {"model": which[0], "models": which[1]}
    about |= {} if outcome is None else {"outcome": outcome}
    if which[1] > 1:
        so_far = " trained so far" if outcome is None else ""
        console.print(f"\n[bold]Model {which[0]} of {which[1]}{so_far}[/]")
    script = replace(script, iterations=_iterations(made))
    if made.diagnosis is None:
        _report_no_verdict(console, made.plan, folder, about)
        return
    several = bool(made.diagnosis.pairs)
    replays = tuple(replay(made.profile, make(name)) for name in REPLAYED if several)
    tables, notes = _kernel(made) if several else ((), ())
    found = ReportContent(
        made.diagnosis,
        # that of the first verdict, which is the one reported; later ones are told in `done`
        made.decisions[0].after if made.decisions else made.plan,
        rule=made.method.treatment.rule or Rule.default(),
        script=script,
        done="" if outcome is None else _done(made, outcome["method"]),
        remarks=made.remarks,
        replays=replays,
        notes=notes,
        tables=tables,
    )
    console.print()
    print_report(console, found)
    write_report(folder, found, about)
    console.print(
        f"\nReport: [bold]{escape(str(folder))}/report.html[/] (for a browser; explains the words, "
        "has figures and all numbers)\n"
        "Beside it: report.json, profile.png, profile.npz, *.csv",
        soft_wrap=True,
    )


def _report_no_verdict(
    console: Console, plan: Plan | None, folder: Path, about: Mapping[str, Any]
) -> None:
    """Of a run without a profile: it was restored after its decision, or skipped every step."""
    why = f"the checkpoint brought its plan, {plan.kind}." if plan else "no step was sampled."
    content = {"plan": plan.to_json() if plan else None, **about}
    write_json(folder / "report.json", content)
    path = escape(str(folder / "report.json"))
    console.print(f"\nNo verdict: {why}\nReport: [bold]{path}[/]", soft_wrap=True)


def outcome_table(columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """What the trainings came to, side by side."""
    table = Table(title="Outcome", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    results = list(columns.values())
    table.add_row("steps", *(str(r["steps"]) for r in results))
    times = (r["wall_time_s"] for r in results)
    table.add_row("training time, s", *("-" if t is None else f"{t:.1f}" for t in times))
    for section, label in (("train_loss", "train loss"), ("metrics", "metric")):
        for key in results[-1][section]:
            table.add_row(f"{label} {key}", *(_short(r[section].get(key)) for r in results))
    bests = [r["best"] or {"metrics": {}} for r in results]
    table.add_row("best step, by DeepXDE's count", *(str(b.get("step", "-")) for b in bests))
    table.add_row("train loss there", *(_short(b.get("train_loss")) for b in bests))
    for key in bests[-1]["metrics"]:
        table.add_row(f"metric {key} there", *(_short(b["metrics"].get(key)) for b in bests))
    for number in range(len(results[-1]["unknowns"])):
        found = (r["unknowns"][number : number + 1] for r in results)
        table.add_row(f"unknown {number + 1}", *(_told(v[0]) if v else "-" for v in found))
    return table


def _short(value: float | str | None) -> str:
    """In short; what is not finite comes back from JSON as text."""
    return "-" if value is None else f"{float(value):.3g}"


def _told(unknown: Any) -> str:
    """The value of an unknown: a number, or an array of them in short."""
    return f"{unknown:.5g}" if isinstance(unknown, (int, float)) else f"{unknown!s:.40}"


def _iterations(made: Any) -> int:
    """Of the optimizer in one step, at most."""
    inner = made.optimizer.inner
    return int(inner.param_groups[0]["max_iter"]) if searches_lines(inner) else 1


def _done(made: Any, method: str) -> str:
    """What the run did with the plan."""
    fixed = made.method.fixed
    if fixed is not None and fixed.plain:
        return "trained plainly; the plan was not applied."
    if fixed is not None:
        return f"trained with {method} from the start; the profile is of that, not of a plain run."
    if not made.plan_applied:
        return "the plan was not applied: training ended before the profile did."
    used = "; ".join(f"{label} from step {step} on" for step, label in made.trained_with[1:])
    plans = [d.after for d in made.decisions] or [made.plan]
    race = made.decisions[0].race if made.decisions else None
    look = f" Second look: {race.reason} Cost: {race.cost}." if race is not None else ""
    later = "".join(f" At step {d.step} {d}" for d in made.decisions[1:])
    if all(plan.kind == "none" for plan in plans):
        return f"nothing was changed: training went on plainly, as planned.{look}{later}"
    return f"the plan was applied: {used}.{look}{later}"


def _kernel(made: Any) -> tuple[tuple[ReportTable, ...], tuple[str, ...]]:
    """The tangent kernel as it is now, or why there is none."""
    try:
        kernel = made.tangent_kernel()
    except ConflictOptError as error:
        return (), (f"the tangent kernel: {error}",)
    return kernel_tables(kernel, made.steps), ()
