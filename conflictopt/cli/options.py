"""The options of a run as options of a command: each stands here once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..auto.options import TrainingOptions
from .command_errors import guarded

PROFILE = ("profile_steps", "profile_every", "engine", "rule")
"""Options of a profile: of ``diagnose`` too."""
STEPS = ("seed", "every", "update", "momentum_share", "scale_share", "on_nonfinite")
"""Options of every step of a training."""

_DECLARED = {
    "profile_steps": typer.Option(min=1, help="optimizer steps to profile"),
    "profile_every": typer.Option(min=1, help="steps between samples; without it 100 samples"),
    "engine": typer.Option(help="how per-loss gradients are computed; auto unless measured"),
    "rule": typer.Option(help="rule for the plan, of 'conflictopt calibrate'; ours without it"),
    "seed": typer.Option(help="seed of the method's own random choices"),
    "every": typer.Option(min=1, help="steps for which coefficients hold"),
    "update": typer.Option(help="compare the optimizer's update with all gradients"),
    "momentum_share": typer.Option(help="how far momentum follows an aligned update"),
    "scale_share": typer.Option(help="how far the mean of squares follows an aligned update"),
    "on_nonfinite": typer.Option(help="on a NaN or infinite loss or gradient"),
}
_TYPES = {**get_type_hints(TrainingOptions), "rule": Path | None}
"""Types and defaults are those of the dataclass; on the command line a rule is a file."""
_USUAL = {f.name: f.default for f in fields(TrainingOptions)}


def with_training_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these fields of ``TrainingOptions``.

    The command takes them together, as ``options``. Its errors are told as ``guarded`` says.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def declared(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in names}
            guarded(lambda: command(**given, options=TrainingOptions(record=True, **chosen)))

        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "options"]
        keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        made = signature.replace(parameters=[*keywords, *map(_parameter, names)])
        vars(declared)["__signature__"] = made
        declared.__annotations__ = {p.name: p.annotation for p in made.parameters.values()}
        return declared

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    kind, annotation = inspect.Parameter.KEYWORD_ONLY, Annotated[_TYPES[name], _DECLARED[name]]
    return inspect.Parameter(name, kind, default=_USUAL[name], annotation=annotation)


def words(options: TrainingOptions, names: tuple[str, ...]) -> tuple[str, ...]:
    """The words that ask for these fields, where they are not at their defaults.

    >>> words(TrainingOptions(engine="graph", every=1), ("engine", "every"))
    ('--engine', 'graph')
    """
    chosen = {name: getattr(options, name) for name in names}
    asked = {name: value for name, value in chosen.items() if value != _USUAL[name]}
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in asked.items())
    return tuple(word for pair in pairs for word in pair)
