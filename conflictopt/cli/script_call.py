"""A script as a command runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..auto.asked_for import asked_for
from ..auto.options import TrainingOptions
from ..core.aggregator import Aggregator
from ..methods.expression import MethodExpression
from ..report.script import Script
from .options import PROFILE, STEPS, words
from .script_host import GroupingName, ScriptRun, script_runner


@dataclass(frozen=True)
class ScriptCall:
    """A script, what its models are trained with, and where to report.

    Attributes:
        path, arguments: the script and its own command line.
        method: to train with.
        options: of the runs, beside those that the method expression has.
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

    def profile_words(self) -> tuple[str, ...]:
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
            self.profile_words(),
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
