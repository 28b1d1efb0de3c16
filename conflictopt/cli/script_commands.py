"""The commands ``diagnose`` and ``run``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..auto.asked_for import asked_for
from ..auto.options import TrainingOptions
from ..core.aggregator import Aggregator
from ..methods.expression import MethodExpression
from ..report.script import Script
from .comparison import Comparison
from .options import PROFILE, STEPS, words
from .progress import training_progress
from .report_folder import check_free
from .script_host import GroupingName, ScriptRun, TrainedModel, script_runner
from .verdict import outcome_table, report


@dataclass(frozen=True)
class ScriptCall:
    """A script, what its models are trained with, and where to report.

    Attributes:
        path, arguments: the script and its own command line.
        method: to train with.
        options: of the runs, those of the method among them.
        groups: how losses are grouped.
        out: folder of the report.
    """

    path: Path
    arguments: tuple[str, ...]
    method: MethodExpression
    options: TrainingOptions
    groups: GroupingName
    out: Path

    @property
    def resolved(self) -> tuple[str | Aggregator, TrainingOptions]:
        """The method and the options of the models' runs.

        Raises:
            MethodError: a method that only studies have.
        """
        return asked_for(self.method.label, self.options)

    def folder(self, number: int) -> Path:
        """Of the report on a model."""
        return self.out if number == 1 else self.out / f"model-{number}"

    def words(self) -> tuple[str, ...]:
        """How profiles were asked for, where it is not the default; without their length."""
        groups = ("--groups", self.groups) if self.groups != "kind" else ()
        return (*words(self.options, tuple(n for n in PROFILE if n != "profile_steps")), *groups)

    def again(self) -> Script:
        """The script for commands that a report advises."""
        _, options = self.resolved
        given = self.method.members[0].options_text if self.method.auto is not None else []
        chosen = [text for text in given if not text.startswith("profile_steps=")]
        auto = [word for text in chosen for word in ("--option", text)]
        return Script(
            str(self.path),
            self.arguments,
            options.profile_steps,
            self.words(),
            (*auto, *words(self.options, STEPS)),
        )

    def start(self, show: Callable[[Any], None], seed: int | None = None) -> ScriptRun:
        """A run of the script; ``show`` is called after every step."""
        method, options = self.resolved
        return script_runner()(
            self.path,
            self.arguments,
            method,
            options,
            groups=self.groups,
            on_patch=lambda made: made.on_step.append(show),
            seed=seed,
        )


def diagnose(call: ScriptCall) -> None:
    """Profile the script, print the verdict, write the report."""
    check_free(call.out)
    console = Console()
    with training_progress(Console(stderr=True), call.options.profile_steps) as show:
        task = call.start(show)
        model = task.profile()
    trained = list(task.trained)
    report(console, model.run, call.out, call.again(), (trained.index(model) + 1, len(trained)))


def run(call: ScriptCall, against: tuple[str, ...], seed: int | None) -> None:
    """Train the script, print verdict and outcome, write the report.

    Args:
        call: the script, the method, the folder.
        against: methods to compare with.
        seed: of the script's random numbers; runs that are compared begin alike.
    """
    _ = call.resolved
    comparison = Comparison.of(call, against, 0 if seed is None and against else seed)
    check_free(call.out)
    comparison.train()
    task: ScriptRun | None = None
    try:
        with training_progress(Console(stderr=True)) as show:
            task = call.start(show, comparison.seed)
            task.train()
    finally:
        # also of a script that fails late: what was trained until then is not lost
        trained = list(task.trained) if task is not None else []
        for number, model in enumerate(trained, start=1):
            _report(call, comparison, model, (number, len(trained)))


def _report(
    call: ScriptCall, comparison: Comparison, model: TrainedModel, which: tuple[int, int]
) -> None:
    console, label = Console(), call.method.label
    outcome, folder = model.outcome(label), call.folder(which[0])
    report(console, model.run, folder, call.again(), which, outcome)
    console.print(outcome_table(comparison.columns(console, which[0], folder, outcome)))
    for kind, told in model.run.reports.items():
        console.print(Text(f"{kind}, {told.count} steps, last {told.last}: {told.message}"))
