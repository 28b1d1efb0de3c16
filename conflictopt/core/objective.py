"""What one step minimises: its losses, evaluated together or apart, only when asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .losses import Losses


class Objective(ABC):
    """The losses of one step.

    A host that computes all losses from one batch can offer a second way to evaluate them: each
    from its own rows alone. Values and gradients are the same up to the order of summation, but
    nothing is computed on rows that do not need it, and losses hardly share graphs, so that all
    their gradients cost little more than one backward pass.

    Attributes:
        names: the K loss names.
        together_because: why the losses cannot be evaluated apart; ``None`` if they can.
        has_residuals: whether the residuals behind all losses are at hand; ``None`` where only
            reading them shows.
    """

    names: tuple[str, ...]
    together_because: str | None
    has_residuals: bool | None = None

    @property
    def count(self) -> int:
        """K, the number of losses."""
        return len(self.names)

    @abstractmethod
    def together(self, residuals: bool = False) -> Losses:
        """The losses as the plain run computes them; a second call returns the same object.

        Args:
            residuals: whether the residuals behind the losses are needed too.
        """

    @abstractmethod
    def apart(self, by_loss: bool, residuals: bool = False) -> Losses | None:
        """The losses, each from its own rows; ``None`` if that cannot be, or does not pay.

        Args:
            by_loss: whether they will be differentiated one by one, rather than their sum.
            residuals: whether the residuals behind the losses are needed too.
        """


class Given(Objective):
    """Losses that a training loop has evaluated already.

    Args:
        losses: the losses.
    """

    together_because = (
        "they were handed over evaluated; in a training loop, give each loss a forward pass of its "
        "own and let the engine 'graph' differentiate them"
    )

    def __init__(self, losses: Losses) -> None:
        self.names = losses.names
        self.has_residuals = all(name in losses.residuals for name in losses.names)
        self._losses = losses

    def together(self, residuals: bool = False) -> Losses:
        return self._losses

    def apart(self, by_loss: bool, residuals: bool = False) -> Losses | None:
        return None
