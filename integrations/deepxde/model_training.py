"""How a script trains one of its models."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from conflictopt.auto.script_outcome import ScriptOutcome
from conflictopt.core.errors import NonFiniteError

from .model_outcome import outcome_of

if TYPE_CHECKING:
    from .patched_model import Patch

_SKIP = " Or leave such steps out, where they are rare: conflictopt run --on-nonfinite skip."


class ModelTraining:
    """The training of one model of a script: what it spends, and what it comes to.

    Args:
        run: the patch of the model.

    Attributes:
        run: the patch of the model.
        steps: that were taken; those that a restored checkpoint brings are not among them.
        seconds: within calls of ``train``.
        displayed: those at every display of the model.
    """

    def __init__(self, run: Patch) -> None:
        self.run = run
        self.steps = 0
        self.seconds = 0.0
        self.displayed: list[float] = []
        self._began: float | None = None
        self._diagnosed = False
        run.before_step.append(self._note_displays)
        run.on_step.append(self._stepped)
        # first: another listener may end the script
        run.on_diagnosis.insert(0, self._at_diagnosis)

    def _stepped(self, _: Any) -> None:
        self.steps += 1

    def _note_displays(self, _: Any = None) -> None:
        """DeepXDE displays between steps."""
        if self._began is not None:
            count = len(self.run.model.losshistory.steps)
            now = self.seconds + time.perf_counter() - self._began
            self.displayed += [now] * (count - len(self.displayed))

    def _at_diagnosis(self, _: Any) -> None:
        self._diagnosed = True

    @property
    def trained(self) -> bool:
        """Whether there was a step; the one that ends a profile may end the script with it."""
        return self.steps > 0 or self._diagnosed

    def outcome(self, method: str) -> ScriptOutcome:
        """What the model came to.

        Args:
            method: that was asked for.
        """
        return outcome_of(self.run, method, self.seconds, self.displayed)

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call of ``train``; if it diverges, the error says when and what to do.

        Raises:
            NonFiniteError: that of the step.
        """
        self._began = time.perf_counter()
        try:
            yield
        except NonFiniteError as error:
            raise NonFiniteError(self._diverged(error)) from error
        finally:
            self._note_displays()
            self.seconds += time.perf_counter() - self._began
            self._began = None

    def _diverged(self, error: NonFiniteError) -> str:
        optimizer = self.run.optimizer
        skips = optimizer is not None and optimizer.on_nonfinite == "skip"
        return (
            f"{error} It happened at step {self.run.steps}, counted from 0. Lower the learning "
            "rate, or look in the equation for what overflows or divides by 0."
            f"{'' if skips else _SKIP}"
        )
