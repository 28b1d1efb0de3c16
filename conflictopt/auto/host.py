"""What a training loop offers to have its method chosen: its network, for adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from ..adapters.attachment import Adapters, attach_once, attached, detach
from ..adapters.design import AdapterDesign
from ..core.errors import LayoutError, MethodError
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

    def curvature(self) -> CurvatureCase:
        """Whether the run can go on with steps on its residuals."""

    def step_by_curvature(self) -> None:
        """Go on with them: with another optimizer."""


class LoopHost:
    """A torch loop.

    Args:
        model: the network, if it is known.
        seed: of the adapters.
    """

    def __init__(self, model: nn.Module | None, seed: int) -> None:
        self._model, self._seed = model, seed

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

    def curvature(self) -> CurvatureCase:
        """See ``Host``: a loop hands over losses, which cannot be evaluated again."""
        return CurvatureCase("a training loop evaluates its losses once a step")

    def step_by_curvature(self) -> None:
        """See ``Host``.

        Raises:
            MethodError: always.
        """
        raise MethodError("expected a host that can evaluate residuals, found a training loop.")
