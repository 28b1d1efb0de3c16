"""The commands ``diagnose``, ``run`` and ``methods``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..adapters import AdapterDesign
from ..core.aggregator import Aggregator
from ..core.errors import ConflictOptError, MethodError
from ..diagnosis.advice import Script
from ..diagnosis.report import write_json
from ..registry import describe, make
from .hosts import script_runner
from .options import parse_options
from .progress import training_progress
from .verdict import outcome_table, report

_AUTO_OPTIONS = ("reweighting", "look", "race_steps", "rediagnose_every")
_DESIGN_OPTIONS = tuple(f.name for f in fields(AdapterDesign))


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
    every: int
    update: str
    on_nonfinite: str
    against: str | None

    def auto_words(self) -> tuple[str, ...]:
        """The options of ``auto`` as they were asked for; none of another method."""
        options = self.options if self.method == "auto" else ()
        return tuple(word for option in options for word in ("--option", option))

    def patch_options(self) -> dict[str, Any]:
        """Keyword arguments for ``patch``.

        Raises:
            MethodError: unknown method or option.
        """
        options = parse_options(self.options)
        common = {
            "seed": self.seed,
            "every": self.every,
            "update": self.update,
            "on_nonfinite": self.on_nonfinite,
        }
        if self.method not in ("auto", "adapters"):
            return {**common, "method": _method(self.method, options)}
        design = {k: options.pop(k) for k in _DESIGN_OPTIONS if k in options}
        common |= {"method": self.method, "adapters": AdapterDesign(**design)}
        known = _AUTO_OPTIONS if self.method == "auto" else ()
        unknown = [k for k in options if k not in known]
        if unknown:
            listed = ", ".join((*known, *_DESIGN_OPTIONS))
            raise MethodError(
                f"method '{self.method}' has no option {unknown}; its options: {listed}."
            )
        return {**common, **options}


def _method(name: str, options: dict[str, Any]) -> Aggregator:
    return make("sum" if name == "none" else name, **options)


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
        # "sum" records like auto, but asks nothing of the losses that only a plan would need
        options = {**profiling.patch_options(), "method": "sum"}
        task = script_runner()(script, arguments, options, lambda p: p.on_step.append(show))
        task.profile()
    report(console, task.trained[-1], profiling.out, profiling.script(script, arguments))


def run(script: Path, arguments: list[str], profiling: Profiling, training: Training) -> None:
    """Train the script, print verdict and outcome, write the report."""
    console = Console()
    options = {**profiling.patch_options(), **training.patch_options()}
    if training.against is not None:
        _method(training.against, {}) if training.against != "auto" else None
        reference = _run_apart(script, arguments, profiling, training)
    began = time.perf_counter()
    task = None
    try:
        with training_progress(Console(stderr=True)) as show:
            task = script_runner()(script, arguments, options, lambda p: p.on_step.append(show))
            task.train()
    finally:
        # also of a script that fails late: what was trained until then is not lost
        seconds = time.perf_counter() - began
        for number, made in enumerate(task.trained if task is not None else (), start=1):
            assert task is not None
            folder = profiling.out if number == 1 else profiling.out / f"model-{number}"
            result = task.outcome(made, training.method, seconds)
            again = profiling.script(script, arguments, training.auto_words())
            report(console, made, folder, again, result)
            columns = {training.method: result}
            if training.against is not None and number == 1:
                columns = {training.against: reference, **columns}
                write_json(folder / "comparison.json", columns)
            console.print(outcome_table(columns))
            for kind, told in made.reports.items():
                line = f"{kind}, {told.count} steps, last {told.last}: {told.message}"
                console.print(Text(line))


def _run_apart(
    script: Path, arguments: list[str], profiling: Profiling, training: Training
) -> dict[str, Any]:
    """The script under the other method, in a process of its own; its outcome."""
    folder = profiling.out / str(training.against)
    command = [sys.executable, "-m", "conflictopt", "run", str(script)]
    command += ["--method", str(training.against), "--out", str(folder)]
    command += ["--profile-steps", str(profiling.steps), *profiling.words()]
    command += ["--seed", str(training.seed), "--every", str(training.every)]
    command += ["--update", training.update, "--on-nonfinite", training.on_nonfinite]
    finished = subprocess.run([*command, "--", *arguments], check=False)
    if finished.returncode:
        raise ConflictOptError(f"the run with --method {training.against} failed; see above.")
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return dict(written["outcome"])
