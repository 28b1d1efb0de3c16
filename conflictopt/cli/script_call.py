"""A script as a command runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..auto.asked_for import asked_for
from ..auto.options import TrainingOptions
from ..core.aggregator import Aggregator
from ..core.errors import MethodError
from ..methods.expression import MethodExpression
from ..report.script import Script
from .options import PROFILE, STEPS, words
from .script_host import GroupingName, Precision, ScriptRun, script_runner


@dataclass(frozen=True)
class ScriptCall:
    """A script, what its models are trained with, and where to report.

    Attributes:
        path, arguments: the script and its own command line.
        method: to train with.
        options: of the runs, beside those that the method expression has.
        groups: how losses are grouped.
        out: folder of the report.
        seconds: of the training steps of an optimizer that the method names, or of ``auto``;
            without them, as long as the script's own iterations would take.
        precision: the script's default float; without it float64 for such an optimizer, else the
            host's own.
        fresh_points: whether steps of such an optimizer draw points from a pool; without it where
            there can be one.

    Raises:
        MethodError: seconds or fresh points for a method that has no use for them.
    """

    path: Path
    arguments: tuple[str, ...]
    method: MethodExpression
    options: TrainingOptions
    groups: GroupingName
    out: Path
    seconds: float | None = None
    precision: Precision | None = None
    fresh_points: bool | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not takes_seconds(self.method):
            raise MethodError(
                f"expected --seconds with a method whose steps cost many plain ones, found it with "
                f"'{self.method.label}', which takes the script's own iterations. Use auto or "
                f"levenberg_marquardt, or change the iterations in the script."
            )
        if self.fresh_points is not None and not self.method.draws_points:
            raise MethodError(
                "expected --fresh-points with a method that draws points, found it with "
                f"'{self.method.label}', whose steps are made of all points. Use "
                "levenberg_marquardt or soap+ntk, or leave it out."
            )

    @property
    def resolved(self) -> tuple[str | Aggregator, TrainingOptions]:
        """The method and the options of the models' runs.

        Raises:
            MethodError: a method that only studies have.
        """
        if self.method.optimizer is not None:
            options = _of_few_steps(self.options) if self.method.recounts else self.options
            return self.method.check_of_a_run().label, options
        seconds = self.seconds if _goes_on(self.method) else None
        return asked_for(self.method.label, replace(self.options, seconds=seconds))

    def folder(self, number: int) -> Path:
        """Of the report on a model."""
        return self.out if number == 1 else self.out / f"model-{number}"

    def profile_words(self) -> tuple[str, ...]:
        """How profiles were asked for, where it is not the default; without their length."""
        groups = ("--groups", self.groups) if self.groups != "kind" else ()
        return (*words(self.options, tuple(n for n in PROFILE if n != "profile_steps")), *groups)

    def again(self) -> Script:
        """The script for commands that a report advises."""
        options = self.options if self.method.recounts else self.resolved[1]
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
        if isinstance(options.rule, str | Path):
            # read when a model is built, after the script may have left for another directory
            options = replace(options, rule=Path(options.rule).absolute())
        usual: Precision | None = "float64" if self.method.recounts else None
        return script_runner()(
            self.path,
            self.arguments,
            method,
            options,
            groups=self.groups,
            on_patch=lambda made: made.on_step.append(show),
            seed=seed,
            seconds=self.seconds,
            precision=self.precision or usual,
            fresh_points=self.fresh_points,
        )


def takes_seconds(method: MethodExpression) -> bool:
    """Whether a method may train for some time, rather than for iterations."""
    return method.recounts or _goes_on(method)


def _goes_on(method: MethodExpression) -> bool:
    """Whether it is ``auto``, and may go on with steps on residuals."""
    return method.auto is not None and method.auto.curvature is not False


def _of_few_steps(options: TrainingOptions) -> TrainingOptions:
    """Of a training of hundreds of steps, each sample of the profile comes from another step."""
    usual = TrainingOptions()
    if (options.profile_steps, options.profile_every) != (usual.profile_steps, usual.profile_every):
        return options
    return replace(options, profile_steps=usual.profile_steps // 10)
