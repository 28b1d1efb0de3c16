"""Run an unmodified DeepXDE script with every model it builds patched."""

from __future__ import annotations

import os
import re
import runpy
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import conflictopt
from conflictopt.auto.options import TrainingOptions
from conflictopt.auto.patched_run import PatchedRun
from conflictopt.core.aggregator import Aggregator
from conflictopt.core.errors import ConflictOptError, LossError

from .budget import Budget
from .model_training import ModelTraining
from .script_models import ScriptModels
from .script_process import as_main, begin_with, exits_in_order, no_windows, streams_kept

if TYPE_CHECKING:
    from .groups import Grouping
    from .patched_model import Patch

_TENSORFLOW = re.compile(r"\s*(from deepxde\.backend import .*\btf\b|import tensorflow\b)")
_FLOATS = re.compile(r"dtype|scalar type|Float|Double|float32|float64")
_OWN_LOOP = (
    "conflictopt's commands and patch() take part in model.train() only. Train by that, or wrap "
    "the optimizer of a loop of your own, opt = conflictopt.MultiLossOptimizer(optimizer, method), "
    "and hand it the losses before they are summed: opt.step(losses)."
)


class ScriptError(ConflictOptError):
    """The script cannot be run, failed, or trained nothing."""


class ProfileDone(BaseException):
    """Ends a script whose profile is complete. Not an ``Exception``: scripts must not catch it."""


class ScriptRun:
    """One run of a script.

    Args:
        path: the script.
        arguments: its command line.
        method, options, groups: of ``conflictopt.integrations.deepxde.patch``.
        on_patch: called with each patch as its model is built, to add listeners.
        seed: of the random numbers of Python, numpy and torch when the script begins; it may set
            its own later. Unless given they stay as they are.
        seconds: of all training steps of an optimizer that the method names; unless given, as long
            as the iterations that the script asks for would take.
        fresh_points: of ``patch``.
        precision: DeepXDE's default float when the script begins, "float32" or "float64".
    """

    def __init__(
        self,
        path: Path,
        arguments: Sequence[str],
        method: str | Aggregator,
        options: TrainingOptions,
        *,
        groups: Grouping = "kind",
        on_patch: Callable[[PatchedRun], None] | None = None,
        seed: int | None = None,
        seconds: float | None = None,
        precision: str | None = None,
        fresh_points: bool | None = None,
    ) -> None:
        self.path = path
        self.arguments = list(arguments)
        self._method, self._options, self._groups = method, options, groups
        self._on_patch, self._seed = on_patch, seed
        self._seconds, self._precision = seconds, precision
        self._fresh_points = fresh_points
        self._budget: Budget | None = None
        self._stops = False
        self._models = ScriptModels(self._patched)

    @property
    def trained(self) -> list[ModelTraining]:
        """Of the models that took at least one step of their own, in the order of building."""
        return self._models.trained

    def profile(self) -> ModelTraining:
        """Run until the first complete profile, then stop the script.

        Returns:
            The model with that profile; without one, the last that was trained.

        Raises:
            ScriptError: no such file, another backend, a failing script, or nothing trained.
        """
        self._stops = True
        with suppress(ProfileDone):
            self.train()
        found = self.trained
        return next((t for t in found if t.run.diagnosis is not None), found[-1])

    def train(self) -> None:
        """Run the script to its end.

        Raises:
            ScriptError: as ``profile``.
        """
        if not self.path.is_file():
            raise ScriptError(f"no script at '{self.path}'.")
        os.environ["DDEBACKEND"] = os.environ["DDE_BACKEND"] = "pytorch"
        os.environ["MPLBACKEND"] = "Agg"
        import deepxde as dde

        if dde.backend.backend_name != "pytorch":
            raise ScriptError(
                f"deepxde was already imported with the backend '{dde.backend.backend_name}'."
            )
        patched = self._models.patched(dde.Model)
        with (
            patched,
            streams_kept(),
            no_windows(),
            exits_in_order(),
            as_main(self.path, self.arguments),
        ):
            if self._seed is not None:
                begin_with(self._seed)
            if self._precision is not None:
                dde.config.set_default_float(self._precision)
            self._budget = Budget.of_script(self.path, self._seconds)
            self._execute()
        if not self.trained:
            n = len(self._models.trainings)
            built = f" built {n} model{'s' * (n != 1)} but" if n else ""
            hint = f" {_OWN_LOOP}" if n else ""
            raise ScriptError(
                f"'{self.path}'{built} trained no DeepXDE model, so there is nothing to diagnose."
                f"{hint}"
            )

    def _patched(self, model: Any) -> Patch:
        self._check_backend()
        from .patch_model import patch

        made = patch(
            model,
            self._method,
            self._options,
            groups=self._groups,
            fresh_points=self._fresh_points,
        )
        if self._budget is not None:
            made.allow(self._budget)
        if self._stops:
            made.on_diagnosis.append(_stop)
        if self._on_patch is not None:
            self._on_patch(made)
        return made

    def _check_backend(self) -> None:
        for variable in ("DDE_BACKEND", "DDEBACKEND"):
            asked = os.environ.get(variable)
            if asked != "pytorch":
                raise ScriptError(
                    f"'{self.path}' asks for the backend '{asked}'; conflictopt works with "
                    "DeepXDE's PyTorch backend only."
                )

    def _execute(self) -> None:
        try:
            runpy.run_path(str(self.path.absolute()), run_name="__main__")
        except LossError as error:
            trainings = self._models.trainings
            if not trainings or any(t.seconds for t in trainings):
                raise
            raise ScriptError(f"'{self.path}' calls no model.train(). {_OWN_LOOP}") from error
        except ConflictOptError:
            raise
        except SystemExit as stop:
            if stop.code not in (None, 0):
                raise ScriptError(f"'{self.path}' exited with status {stop.code}.") from None
        except Exception as error:
            own = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
            shown = "".join(traceback.format_list(own))
            summary = "".join(traceback.format_exception_only(error)).rstrip()
            raise ScriptError(
                f"'{self.path}' failed.\nTraceback (most recent call last):\n{shown}{summary}"
                f"{self._tensorflow()}{self._other_float(summary)}"
            ) from error

    def _other_float(self, summary: str) -> str:
        """What to do where a script counts on its own default float."""
        if self._precision is None or not _FLOATS.search(summary):
            return ""
        return (
            f"\nThe script ran with {self._precision} as DeepXDE's default float. If it counts on "
            "another, say which: conflictopt run --precision float32."
        )

    def _tensorflow(self) -> str:
        """Why a script that computes with TensorFlow fails here."""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        lines = [i for i, line in enumerate(text.splitlines(), 1) if _TENSORFLOW.match(line)]
        if not lines:
            return ""
        return (
            f"\nLine {lines[0]} takes TensorFlow from DeepXDE; conflictopt runs scripts with its "
            "PyTorch backend. Import torch there, and write torch.exp for tf.exp and so on."
        )


def _stop(_: Any) -> None:
    raise ProfileDone


def _is_ours(filename: str) -> bool:
    """Whether a traceback line is conflictopt's or runpy's rather than the script's."""
    folders = (Path(conflictopt.__file__).parent, Path(__file__).parent)
    return any(f in Path(filename).parents for f in folders) or "runpy" in filename
