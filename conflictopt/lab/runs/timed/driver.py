"""What takes the steps of a timed run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from ....optim.optimizer import MultiLossOptimizer
from .setup import Setup

Ending = Literal["time", "converged", "stuck", "diverged"]
"""Why a run ended: its time was over; its losses are as small as they can get; its steps lead
nowhere any more; something became infinite."""


class Driver(Protocol):
    """Takes the steps of a timed run, one at a time."""

    @property
    def optimizer(self) -> MultiLossOptimizer:
        """The present one."""

    @property
    def setup(self) -> Setup:
        """What is trained now."""

    def advance(self, spent: float) -> Ending | None:
        """Take a step.

        Args:
            spent: the time so far, relative to the plain run's.

        Returns:
            Why there is no next step; ``None`` if there is one.

        Raises:
            NonFiniteError: a loss or a gradient became infinite.
        """

    def best(self) -> AbstractContextManager[None]:
        """Within it, what is trained is what the run would hand over if it ended now."""

    def notes(self) -> dict[str, Any]:
        """What the record tells of the steps, as plain data."""
