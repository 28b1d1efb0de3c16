"""What a training loop offers to have its method chosen: its network, for adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from ..adapters.attachment import Adapters, attach_once, attached, detach
from ..adapters.design import AdapterDesign
from ..core.errors import LayoutError
from ..core.layout import ADAPTER
from ..optim.optimizer import MultiLossOptimizer
from ..selection.curvature_case import CurvatureCase


class Host(Protocol):
    """A run of any training loop; its steps are those of the ``MultiLossOptimizer``."""

    def attach(self, losses: Sequence[str], design: AdapterDesign) -> Adapters:
        """Attach adapters to the network, or find those that it has.

        Raises:
            LayoutError: none go with it.
        """

    def detach(self) -> bool:
        """Detach its adapters, if it has any; whether it had."""

    def weighted(self) -> bool:
        """Whether the user weights the losses, as far as that can be known."""

    def curvature(self, optimizer: MultiLossOptimizer) -> CurvatureCase:
        """Whether the run can go on with steps on its residuals."""

    def obstacle(self, optimizer: MultiLossOptimizer) -> str | None:
        """Why another optimizer of the run ends such steps, a clause."""

    def unreadable(self) -> bool:
        """Whether residuals cannot be read any more."""

    def plain_seconds(self) -> float | None:
        """What a step would take without conflictopt, if that can be measured."""

    def calls_left(self, completed: int) -> int | None:
        """Steps that are to come until the training ends or pauses; ``None`` if nobody knows.

        Args:
            completed: steps taken, or skipped.
        """

    def staged(self, begins: bool) -> None:
        """Steps on residuals begin, or there are none now."""


class LoopHost:
    """A torch loop.

    Args:
        model: the network, if it is known.
        seed: of the adapters.
        steps: that the loop takes, if that is known.
    """

    def __init__(self, model: nn.Module | None, seed: int, steps: int | None = None) -> None:
        self._model, self._seed, self._steps = model, seed, steps

    def attach(self, losses: Sequence[str], design: AdapterDesign) -> Adapters:
        """See ``Host``."""
        if self._model is None:
            raise LayoutError(
                "MultiLossOptimizer was given no model= to attach them to: "
                "MultiLossOptimizer(optimizer, 'auto', model=net)."
            )
        return attach_once(self._model, losses, design, self._seed)

    def detach(self) -> bool:
        """See ``Host``."""
        if self._model is None or attached(self._model) is None:
            return False
        detach(self._model)
        return True

    def weighted(self) -> bool:
        """See ``Host``: losses come as they are; weights in them cannot be told from the rest."""
        return False

    def curvature(self, optimizer: MultiLossOptimizer) -> CurvatureCase:
        """See ``Host``: a loop has to hand over what evaluates the losses again."""
        why = stage_obstacle(optimizer)
        if self._model is not None and tracks_statistics(self._model):
            why = TRACKS
        elif self._steps is None:
            why = "nobody said how many steps the loop takes (steps=...)"
        elif not optimizer.takes_closure:
            why = "step() was given losses, and not a closure that can evaluate them again"
        left = self.calls_left(optimizer.completed + optimizer.skipped)
        return CurvatureCase(why, iterations=left or 0)

    def obstacle(self, optimizer: MultiLossOptimizer) -> str | None:
        """See ``Host``."""
        return stage_obstacle(optimizer)

    def unreadable(self) -> bool:
        """See ``Host``: a closure returns them or fails."""
        return False

    def plain_seconds(self) -> float | None:
        """See ``Host``: only the loop itself could take a plain step."""
        return None

    def calls_left(self, completed: int) -> int | None:
        """See ``Host``; a loop may take more than were announced."""
        left = None if self._steps is None else self._steps - completed
        return None if left is None or left < 0 else left

    def staged(self, begins: bool) -> None:
        """See ``Host``: nothing changes for a loop."""


TRACKS = "the network keeps statistics of its batches (BatchNorm)"


def tracks_statistics(network: nn.Module) -> bool:
    """Whether evaluating a network in training mode changes it."""
    return any(getattr(m, "track_running_stats", False) for m in network.modules())


def stage_obstacle(optimizer: MultiLossOptimizer) -> str | None:
    """Why the way a run is trained does not allow for steps on residuals, a clause."""
    inner = optimizer.inner
    if optimizer.by_values:
        return f"{type(inner).__name__} follows values of the losses already"
    if optimizer.watching.mode != "trust":
        return "updates are looked at, one for each loss's gradient"
    if any(group.get("weight_decay") for group in inner.param_groups):
        return f"{type(inner).__name__} decays weights"
    if any(name.startswith(ADAPTER) for name in optimizer.blocks):
        return "the network has adapters"
    return None
