"""Finds the integration that runs scripts, without importing it at start-up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol

from ..auto.options import TrainingOptions
from ..auto.patched_run import PatchedRun
from ..auto.script_outcome import ScriptOutcome
from ..core.aggregator import Aggregator
from ..core.errors import ConflictOptError

GROUP = "conflictopt.scripts"

GroupingName = Literal["kind", "each"]
Precision = Literal["float32", "float64"]


class TrainedModel(Protocol):
    """A model that a script has trained."""

    @property
    def run(self) -> PatchedRun:
        """Its training through conflictopt."""

    def outcome(self, method: str) -> ScriptOutcome:
        """What it came to; ``method`` is the expression that was asked for."""


class ScriptRun(Protocol):
    """A run of a script whose models are patched."""

    @property
    def trained(self) -> Sequence[TrainedModel]:
        """The models that took a step so far, in the order of building."""

    def profile(self) -> TrainedModel:
        """Run until the first complete profile, then stop the script; the model that has it."""

    def train(self) -> None:
        """Run the script to its end."""


class ScriptRunner(Protocol):
    """Makes a run of a script; what an integration registers."""

    def __call__(
        self,
        path: Path,
        arguments: Sequence[str],
        method: str | Aggregator,
        options: TrainingOptions,
        *,
        groups: GroupingName,
        on_patch: Callable[[PatchedRun], None],
        seed: int | None,
        seconds: float | None,
        precision: Precision | None,
        fresh_points: bool | None,
    ) -> ScriptRun: ...


def script_runner(host: str = "deepxde") -> ScriptRunner:
    """The ``ScriptRun`` class of an installed integration.

    Raises:
        ConflictOptError: none is installed under that name.
    """
    for point in entry_points(group=GROUP):
        if point.name == host:
            found: ScriptRunner = point.load()
            return found
    raise ConflictOptError(
        f"no integration '{host}' is installed (entry point group '{GROUP}'). "
        "Install the package: pip install conflictopt."
    )
