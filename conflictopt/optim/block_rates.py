"""Learning rates of single blocks, relative to that of the wrapped optimizer's step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..core.errors import MethodError
from .line_search import searches_lines


def check_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Check that some parameters can have a learning rate of their own.

    Raises:
        MethodError: the optimizer finds one step length for all.
    """
    if rate != 1 and searches_lines(optimizer):
        raise MethodError(
            f"expected adapters with learning_rate=1 under {type(optimizer).__name__}, found "
            f"{rate:g}: its line search finds one step length for all parameters."
        )


class RelativeRates:
    """Scales what one step did to some parameters: ``p <- p_before + f (p - p_before)``.

    For an optimizer whose update is proportional to its learning rate (SGD, Adam and others of
    torch; not line searches) this is the learning rate times f for these parameters, decoupled
    weight decay included. A parameter group of its own could not do it during training: torch's
    schedulers refuse groups that they did not begin with.

    Args:
        blocks: name -> parameters.
        factors: name -> f; blocks without one keep their update.
    """

    def __init__(
        self, blocks: Mapping[str, Sequence[Tensor]], factors: Mapping[str, float]
    ) -> None:
        self._kept = [
            (p, p.detach().clone(), f)
            for name, f in factors.items()
            if f != 1
            for p in blocks.get(name, ())
        ]

    def apply(self) -> None:
        """Scale the update that was made since."""
        with torch.no_grad():
            for p, before, factor in self._kept:
                p.copy_(before + factor * (p - before))
