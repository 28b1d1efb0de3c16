"""What a training loop must offer to have its method chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..optim.optimizer import MultiLossOptimizer
from ..selection.plan import Plan
from .snapshot import Snapshot


class Host(Protocol):
    """A run of any training loop."""

    @property
    def optimizer(self) -> MultiLossOptimizer:
        """The optimizer in use."""

    def attach(self, plan: Plan) -> int:
        """Attach the adapters of a plan and train them too, if the network has none.

        Returns:
            The number of scalars in them; 0 if they were there.
        """


class RacingHost(Host, Protocol):
    """A run that can go back, and be judged."""

    def snapshot(self) -> Snapshot:
        """The present state of everything that ``advance`` changes."""

    def advance(self, steps: int) -> None:
        """Take optimizer steps as the loop does, schedule included, and nothing else.

        Raises:
            NonFiniteError: the run diverges.
        """

    def held_out(self) -> HeldOut:
        """The losses on points that are not trained on, the same at every call."""


@dataclass(frozen=True)
class HeldOut:
    """Losses on held-out points.

    Attributes:
        losses: per name the value, with the user's own weights if there are any.
        conditions: the names that are no equations: conditions and data.
    """

    losses: Mapping[str, float]
    conditions: tuple[str, ...]

    @property
    def condition_sum(self) -> float:
        """The sum of the condition losses."""
        return sum(self.losses[n] for n in self.conditions)
