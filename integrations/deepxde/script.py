"""Run an unmodified DeepXDE script with every model it builds patched."""

from __future__ import annotations

import os
import random
import re
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch

import conflictopt
from conflictopt.core.errors import ConflictOptError, LossError

from .effort import Effort

_TENSORFLOW = re.compile(r"\s*(from deepxde\.backend import .*\btf\b|import tensorflow\b)")
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
        patch_options: keyword arguments of ``conflictopt.integrations.deepxde.patch``.
        on_patch: called with each patch as its model is built, to add listeners.
        seed: of the random numbers of Python, numpy and torch when the script begins; it may set
            its own later. Unless given they stay as they are.

    Attributes:
        patches: one per model the script built, in order.
    """

    def __init__(
        self,
        path: Path,
        arguments: Sequence[str],
        patch_options: Mapping[str, Any],
        on_patch: Callable[[Any], None] | None = None,
        seed: int | None = None,
    ) -> None:
        self.path = path
        self.arguments = list(arguments)
        self.patch_options = dict(patch_options)
        self.on_patch = on_patch
        self.seed = seed
        self.patches: list[Any] = []
        self._efforts: dict[int, Effort] = {}

    def profile(self) -> Any:
        """Run until the first complete profile, then stop the script.

        Returns:
            The patch with that profile; without one, that of the last model that was trained.

        Raises:
            ScriptError: no such file, another backend, a failing script, or nothing trained.
        """
        outer = self.on_patch

        def stop(_: Any) -> None:
            raise ProfileDone

        def listen(patch: Any) -> None:
            patch.on_diagnosis.append(stop)
            if outer is not None:
                outer(patch)

        self.on_patch = listen
        with suppress(ProfileDone):
            self.train()
        found = self.trained
        return next((p for p in found if p.diagnosis is not None), found[-1])

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
        with self._patched_models(dde.Model), _no_windows(), _as_main(self.path, self.arguments):
            if self.seed is not None:
                _begin_with(self.seed)
            self._execute()
        if not self.trained:
            n = len(self.patches)
            built = f" built {n} model{'s' * (n != 1)} but" if n else ""
            hint = f" {_OWN_LOOP}" if n else ""
            raise ScriptError(
                f"'{self.path}'{built} trained no DeepXDE model, so there is nothing to diagnose."
                f"{hint}"
            )

    @property
    def trained(self) -> list[Any]:
        """The patches of models that took at least one step of their own."""
        return [p for p in self.patches if self._efforts[id(p.model)].trained]

    def outcome(self, patch: Any, method: str) -> dict[str, Any]:
        """What a trained model came to, as plain data."""
        from .outcome import outcome

        return outcome(patch, method, self._efforts[id(patch.model)].seconds)

    def _execute(self) -> None:
        try:
            runpy.run_path(str(self.path.absolute()), run_name="__main__")
        except LossError as error:
            if not self.patches or any(e.seconds for e in self._efforts.values()):
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
                f"{self._tensorflow()}"
            ) from error

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

    @contextmanager
    def _patched_models(self, model_class: Any) -> Iterator[None]:
        original, train_plainly = model_class.__init__, model_class.train

        @wraps(original)
        def init(model: Any, *args: Any, **kwargs: Any) -> None:
            original(model, *args, **kwargs)
            if hasattr(model, "conflictopt"):
                return
            self._check_backend()
            from .patch_model import patch

            made = patch(model, **self.patch_options)
            self.patches.append(made)
            self._efforts[id(model)] = Effort(made)
            if self.on_patch is not None:
                self.on_patch(made)

        @wraps(train_plainly)
        def train(model: Any, *args: Any, **kwargs: Any) -> Any:
            effort = self._efforts.get(id(model))
            with effort.training() if effort is not None else nullcontext():
                return train_plainly(model, *args, **kwargs)

        model_class.__init__, model_class.train = init, train
        try:
            yield
        finally:
            model_class.__init__, model_class.train = original, train_plainly

    def _check_backend(self) -> None:
        for variable in ("DDE_BACKEND", "DDEBACKEND"):
            asked = os.environ.get(variable)
            if asked != "pytorch":
                raise ScriptError(
                    f"'{self.path}' asks for the backend '{asked}'; conflictopt works with "
                    "DeepXDE's PyTorch backend only."
                )


def _begin_with(seed: int) -> None:
    """Seed what DeepXDE draws points and weights with."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the generator that DeepXDE and scripts use)
    torch.manual_seed(seed)


def _is_ours(filename: str) -> bool:
    """Whether a traceback line is conflictopt's or runpy's rather than the script's."""
    folders = (Path(conflictopt.__file__).parent, Path(__file__).parent)
    return any(f in Path(filename).parents for f in folders) or "runpy" in filename


@contextmanager
def _as_main(path: Path, arguments: list[str]) -> Iterator[None]:
    """``sys.argv`` and ``sys.path`` as ``python SCRIPT.py ARGS`` sets them."""
    argv, search = sys.argv, sys.path[:]
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.resolve().parent)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, search


@contextmanager
def _no_windows() -> Iterator[None]:
    """Figures are drawn and saved as usual, but never shown."""
    import matplotlib
    import matplotlib.pyplot as plt

    def nothing(*_args: Any, **_kwargs: Any) -> None:
        return None

    kept = matplotlib.use, plt.show, plt.switch_backend
    # pyplot loads its backend when first used, through the function replaced below: load it now
    plt.switch_backend("Agg")
    matplotlib.use, plt.show, plt.switch_backend = nothing, nothing, nothing
    try:
        yield
    finally:
        matplotlib.use, plt.show, plt.switch_backend = kept
