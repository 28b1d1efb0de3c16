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
from rich.text import Text

from ..auto.patched_run import PatchedRun
from ..auto.script_outcome import ScriptOutcome
from ..core.errors import ConflictOptError
from ..diagnosis.replay import replay
from ..methods.registry import make
from ..optim.compatibility import reads_residuals
from ..optim.line_search import searches_lines
from ..report.content import ReportContent
from ..report.folder import PICTURE, write_json, write_report
from ..report.parts import ReportTable
from ..report.script import Script
from ..report.terminal import print_report
from ..report.trainings import Training, brought
from ..selection.plan import Plan
from ..selection.rule import Rule
from .kernel import kernel_tables
from .report_folder import NAME, marked

REPLAYED = ("sum", "pcgrad", "config", "grad_norm")
"""The plain step, two kinds of surgery, and reweighting."""


def report(
    console: Console,
    made: PatchedRun,
    folder: Path,
    script: Script,
    which: tuple[int, int] = (1, 1),
    columns: Mapping[str, ScriptOutcome] | None = None,
) -> None:
    """Print what was found about a model, and write it down.

    Args:
        made: the patch of the model.
        folder: of the report.
        script: that was run.
        which: number of the model among those that the script trained, and how many these are.
        columns: what the training came to, as the last, and those that it is compared with, by
            name; ``None`` if the script was stopped after the profile.
    """
    outcome = list(columns.values())[-1] if columns else None
    made.conclude()
    about = marked({"script": script.path, "arguments": list(script.arguments)})
    about |= {"model": which[0], "models": which[1]}
    about |= {} if outcome is None else {"outcome": outcome.to_json()}
    if which[1] > 1:
        so_far = " trained so far" if outcome is None else ""
        console.print(f"\n[bold]Model {which[0]} of {which[1]}{so_far}[/]")
    script = replace(script, iterations=_iterations(made))
    if made.diagnosis is None or made.profile is None or made.plan is None:
        _report_no_verdict(console, folder, about)
        return
    several = bool(made.diagnosis.pairs)
    replays = tuple(replay(made.profile, make(name)) for name in REPLAYED if several)
    tables, notes = _kernel(made) if several else ((), ())
    found = ReportContent(
        made.diagnosis,
        made.plan,
        rule=made.method.policy.rule or Rule.default(),
        script=script,
        done="" if outcome is None else _done(made, made.plan, outcome.method),
        remarks=made.remarks,
        replays=replays,
        notes=notes,
        tables=tables,
        trainings={name: _training(found) for name, found in (columns or {}).items()},
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


def _report_no_verdict(console: Console, folder: Path, about: Mapping[str, Any]) -> None:
    """Of a run without a profile: it skipped every step."""
    write_json(folder / NAME, {"plan": None, **about})
    path = escape(str(folder / NAME))
    console.print(f"\nNo verdict: no step was sampled.\nReport: [bold]{path}[/]", soft_wrap=True)


def _training(outcome: ScriptOutcome) -> Training:
    shown = outcome.displays
    return Training(shown.seconds, shown.train_loss, shown.metrics, outcome.wall_time_s)


def print_outcome(console: Console, columns: Mapping[str, ScriptOutcome], folder: Path) -> None:
    """What the trainings came to: a table, a sentence, a picture."""
    console.print(outcome_table(columns))
    for sentence in brought({name: _training(found) for name, found in columns.items()}):
        console.print(Text(sentence, style="bold"), soft_wrap=True)
    picture = folder / PICTURE
    if picture.exists():
        console.print(f"Picture: [bold]{escape(str(picture))}[/]", soft_wrap=True)


def outcome_table(columns: Mapping[str, ScriptOutcome]) -> Table:
    """What the trainings came to, side by side."""
    table = Table(title="Outcome", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in columns:
        table.add_column(escape(name), justify="right")
    results = list(columns.values())
    table.add_row("steps", *(str(r.steps) for r in results))
    times = (r.wall_time_s for r in results)
    table.add_row("training time, s", *("-" if t is None else f"{t:.1f}" for t in times))
    for key in results[-1].train_loss:
        table.add_row(f"train loss {key}", *(_short(r.train_loss.get(key)) for r in results))
    for key in results[-1].metrics:
        table.add_row(f"metric {key}", *(_short(r.metrics.get(key)) for r in results))
    bests = [r.best for r in results]
    steps = ("-" if b is None else str(b.step) for b in bests)
    table.add_row("best step, by DeepXDE's count", *steps)
    table.add_row("train loss there", *(_short(b.train_loss if b else None) for b in bests))
    for key in bests[-1].metrics if bests[-1] is not None else ():
        table.add_row(
            f"metric {key} there", *(_short(b.metrics.get(key) if b else None) for b in bests)
        )
    for number in range(len(results[-1].unknowns)):
        found = (r.unknowns[number : number + 1] for r in results)
        table.add_row(f"unknown {number + 1}", *(_told(v[0]) if v else "-" for v in found))
    return table


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _told(unknown: Any) -> str:
    """The value of an unknown: a number, or an array of them in short."""
    return f"{unknown:.5g}" if isinstance(unknown, (int, float)) else f"{unknown!s:.40}"


def _iterations(made: PatchedRun) -> int:
    """Of the optimizer in one step, at most."""
    inner = made.optimizer.inner if made.optimizer is not None else None
    searches = inner is not None and searches_lines(inner)
    return int(inner.param_groups[0]["max_iter"]) if inner is not None and searches else 1


def _done(made: PatchedRun, plan: Plan, method: str) -> str:
    """What the run did with the plan."""
    fixed = made.method.fixed
    replaced = made.optimizer is not None and reads_residuals(made.optimizer.inner)
    if fixed is not None and fixed.plain and not replaced:
        return "trained plainly; the plan was not applied."
    if fixed is not None:
        return f"trained with {method} from the start; the profile is of that, not of a plain run."
    if not made.plan_applied:
        return "the plan was not applied: training ended before the profile did."
    if plan.kind == "none":
        return "nothing was changed: training went on plainly, as planned."
    used = "; ".join(f"{label} from step {step} on" for step, label in made.trained_with[1:])
    return f"the plan was applied: {used}."


def _kernel(made: PatchedRun) -> tuple[tuple[ReportTable, ...], tuple[str, ...]]:
    """The tangent kernel as it is now, or why there is none."""
    try:
        kernel = made.tangent_kernel()
    except ConflictOptError as error:
        return (), (f"the tangent kernel: {error}",)
    return kernel_tables(kernel, made.steps), ()
