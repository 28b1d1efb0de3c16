"""What a script spends on one of its models."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conflictopt.core.errors import NonFiniteError

_SKIP = " Or leave such steps out, where they are rare: conflictopt run --on-nonfinite skip."


class Effort:
    """Steps and time of a model's own training.

    Args:
        patch: of the model.

    Attributes:
        patch: of the model.
        steps: that were taken; those that a restored checkpoint brings are not among them.
        seconds: within calls of ``train``.
    """

    def __init__(self, patch: Any) -> None:
        self.patch = patch
        self.steps = 0
        self.seconds = 0.0
        patch.on_step.append(self._stepped)

    def _stepped(self, _: Any) -> None:
        self.steps += 1

    @property
    def trained(self) -> bool:
        """Whether there was a step; the one that ends a profile may end the script with it."""
        return self.steps > 0 or self.patch.diagnosis is not None

    @contextmanager
    def training(self) -> Iterator[None]:
        """A call of ``train``; if it diverges, the error says when and what to do.

        Raises:
            NonFiniteError: that of the step.
        """
        began = time.perf_counter()
        try:
            yield
        except NonFiniteError as error:
            raise NonFiniteError(self._diverged(error)) from error
        finally:
            self.seconds += time.perf_counter() - began

    def _diverged(self, error: NonFiniteError) -> str:
        skips = self.patch.optimizer.on_nonfinite == "skip"
        return (
            f"{error} It happened at step {self.patch.steps}, counted from 0. Lower the learning "
            "rate, or look in the equation for what overflows or divides by 0."
            f"{'' if skips else _SKIP}"
        )
