"""What the training of a script's model came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class BestStep:
    """The step that the host itself calls best.

    Attributes:
        step: its number, by the host's own count.
        train_loss: the sum of the train losses there.
        metrics: there, by name.
    """

    step: int
    train_loss: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Displays:
    """What a host displayed in the course of a training.

    Attributes:
        seconds: ``[n]`` within the model's own calls of ``train``; empty if none are known.
        train_loss: ``[n]`` sums of the train losses.
        metrics: name -> ``[n]``, NaN where there was none.
    """

    seconds: list[float]
    train_loss: list[float]
    metrics: dict[str, list[float]]


@dataclass(frozen=True)
class ScriptOutcome:
    """What the training of a script's model came to; its fields are the keys of ``report.json``.

    Attributes:
        method: the expression that was asked for.
        trained_with: the methods in use, each with the step from which on.
        plan_applied: whether ``auto`` carried a plan out.
        decisions: of ``auto``, as plain data.
        engine, every: see ``StepOptions``.
        steps: number of steps taken, a restored checkpoint's included.
        skipped_steps: number of skipped ones.
        wall_time_s: within the model's own calls of ``train``; ``None`` if the script trains the
            model without them.
        train_loss, test_loss: the host's own entries at the last step that it displayed, user
            weights included.
        metrics: those that the script compiled the model with, there.
        displays: all that the host displayed.
        best: the displayed step with the lowest sum of train losses; ``None`` before any.
        unknowns: values of the unknowns of an inverse problem.
        adapter_parameters: number of parameters in adapters.
        residual_steps: see ``Controller.residual_steps``.
        log: what was decided and done, a sentence each.
    """

    method: str
    trained_with: list[dict[str, Any]]
    plan_applied: bool
    decisions: list[dict[str, Any]]
    engine: str
    every: int
    steps: int
    skipped_steps: int
    wall_time_s: float | None
    train_loss: dict[str, float]
    test_loss: dict[str, float]
    metrics: dict[str, float]
    displays: Displays
    best: BestStep | None
    unknowns: list[Any]
    adapter_parameters: int
    residual_steps: list[int]
    log: list[str]

    def to_json(self) -> dict[str, Any]:
        """The outcome as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ScriptOutcome:
        """What was written as JSON, where numbers that JSON cannot hold are strings."""
        given = {f.name: content[f.name] for f in fields(cls)}
        for name in ("train_loss", "test_loss", "metrics"):
            given[name] = _numbers(given[name])
        shown = given["displays"]
        curves = {name: list(map(float, values)) for name, values in shown["metrics"].items()}
        losses = list(map(float, shown["train_loss"]))
        given["displays"] = Displays(list(shown["seconds"]), losses, curves)
        best = given["best"]
        if best is not None:
            loss, metrics = float(best["train_loss"]), _numbers(best["metrics"])
            given["best"] = BestStep(best["step"], loss, metrics)
        return cls(**given)


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in content.items()}
