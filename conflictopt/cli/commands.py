"""The commands ``diagnose``, ``run`` and ``methods``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..core.errors import ConflictOptError
from ..methods.registry import describe
from ..report.folder import write_json
from ..report.script import Script
from .methods import patch_method
from .options import parse_options
from .progress import training_progress
from .script_host import script_runner
from .verdict import outcome_table, report


@dataclass(frozen=True)
class Profiling:
    """How to profile and where to report."""

    steps: int
    every: int | None
    groups: str
    engine: str
    rule: Path | None
    out: Path

    def patch_options(self) -> dict[str, Any]:
        """Keyword arguments for ``patch``."""
        return {
            "profile_steps": self.steps,
            "profile_every": self.every,
            "groups": self.groups,
            "engine": self.engine,
            "rule": self.rule,
            "record": True,
        }

    def words(self) -> tuple[str, ...]:
        """What they were asked for with, where it is not the default; without length and folder."""
        every = ("--profile-every", str(self.every)) if self.every is not None else ()
        groups = ("--groups", self.groups) if self.groups != "kind" else ()
        engine = ("--engine", self.engine) if self.engine != "auto" else ()
        rule = ("--rule", str(self.rule)) if self.rule is not None else ()
        return (*every, *groups, *engine, *rule)

    def script(self, path: Path, arguments: Sequence[str], auto: tuple[str, ...] = ()) -> Script:
        """A script profiled so, and trained with these options of ``auto``."""
        return Script(str(path), tuple(arguments), self.steps, self.words(), auto)


@dataclass(frozen=True)
class Training:
    """What to train with."""

    method: str
    options: Sequence[str]
    seed: int
    script_seed: int | None
    every: int
    update: str
    on_nonfinite: str
    against: tuple[str, ...]

    @property
    def start(self) -> int | None:
        """Seed of the script's random numbers: runs that are compared begin alike."""
        return 0 if self.script_seed is None and self.against else self.script_seed

    def auto_words(self) -> tuple[str, ...]:
        """The options of ``auto`` as they were asked for; none of another method."""
        options = self.options if self.method == "auto" else ()
        return tuple(word for option in options for word in ("--option", option))

    def patch_options(self) -> dict[str, Any]:
        """Keyword arguments for ``patch``.

        Raises:
            MethodError: unknown method or option.
        """
        return {
            **patch_method(self.method, parse_options(self.options)),
            "seed": self.seed,
            "every": self.every,
            "update": self.update,
            "on_nonfinite": self.on_nonfinite,
        }


def list_methods(as_json: bool) -> None:
    """The registry, as a table or as JSON."""
    rows = describe()
    if as_json:
        print(json.dumps(rows, indent=2))  # noqa: T201  (machine output, unwrapped)
        return
    table = Table("name", "needs", "summary", "claim", box=box.SIMPLE_HEAD)
    for family in ("reweighting", "surgery", "routing"):
        table.add_section()
        table.add_row(f"[bold]{family}[/]")
        for row in (r for r in rows if r["family"] == family):
            needs = ", ".join(row["needs"])
            table.add_row(row["name"], needs, escape(row["summary"]), escape(row["claim"]))
    Console().print(table, "Sources, cost per step and options: conflictopt methods --json")


def diagnose(script: Path, arguments: list[str], profiling: Profiling) -> None:
    """Profile the script, print the verdict, write the report."""
    console = Console()
    with training_progress(Console(stderr=True), profiling.steps) as show:
        # "sum" records like auto, and trains plainly
        options = {**profiling.patch_options(), "method": "sum"}
        task = script_runner()(script, arguments, options, lambda p: p.on_step.append(show))
        made = task.profile()
    trained = task.trained
    which = trained.index(made) + 1, len(trained)
    report(console, made, profiling.out, profiling.script(script, arguments), which)


def run(script: Path, arguments: list[str], profiling: Profiling, training: Training) -> None:
    """Train the script, print verdict and outcome, write the report."""
    console = Console()
    options = {**profiling.patch_options(), **training.patch_options()}
    for other in training.against:
        patch_method(other, {})
    for other in training.against:
        _run_apart(script, arguments, profiling, training, other)
    task = None
    try:
        with training_progress(Console(stderr=True)) as show:
            task = script_runner()(
                script, arguments, options, lambda p: p.on_step.append(show), training.start
            )
            task.train()
    finally:
        # also of a script that fails late: what was trained until then is not lost
        trained = task.trained if task is not None else []
        for number, made in enumerate(trained, start=1):
            assert task is not None
            folder = _folder(profiling.out, number)
            result = task.outcome(made, training.method)
            again = profiling.script(script, arguments, training.auto_words())
            report(console, made, folder, again, (number, len(trained)), result)
            columns = {training.method: result}
            if training.against:
                columns = _compared(console, profiling.out, number, training, result)
            console.print(outcome_table(columns))
            for kind, told in made.reports.items():
                line = f"{kind}, {told.count} steps, last {told.last}: {told.message}"
                console.print(Text(line))


def _folder(out: Path, number: int) -> Path:
    """Of the report on a model."""
    return out if number == 1 else out / f"model-{number}"


def _compared(
    console: Console, out: Path, number: int, training: Training, result: dict[str, Any]
) -> dict[str, Any]:
    """The outcomes of a model under all methods whose runs trained it."""
    columns: dict[str, Any] = {}
    for against in training.against:
        other = out / against
        models = json.loads((other / "report.json").read_text(encoding="utf-8"))["models"]
        if number > models:
            # reports of a run before this one may lie there
            console.print(
                f"\nNot compared: with --method {against} the script trained {models} "
                f"model{'s' * (models != 1)} only.",
                soft_wrap=True,
            )
            continue
        path = _folder(other, number) / "report.json"
        name = f"{against}, defaults" if against == training.method else against
        columns[name] = json.loads(path.read_text(encoding="utf-8"))["outcome"]
    columns[training.method] = result
    if len(columns) > 1:
        write_json(_folder(out, number) / "comparison.json", columns)
    return columns


def _run_apart(
    script: Path, arguments: list[str], profiling: Profiling, training: Training, against: str
) -> None:
    """Run the script under another method, in a process of its own."""
    folder = profiling.out / against
    command = [sys.executable, "-m", "conflictopt", "run", str(script)]
    command += ["--method", against, "--out", str(folder)]
    command += ["--profile-steps", str(profiling.steps), *profiling.words()]
    command += ["--seed", str(training.seed), "--every", str(training.every)]
    command += ["--script-seed", str(training.start)]
    command += ["--update", training.update, "--on-nonfinite", training.on_nonfinite]
    finished = subprocess.run([*command, "--", *arguments], check=False)
    if finished.returncode:
        raise ConflictOptError(f"the run with --method {against} failed; see above.")
