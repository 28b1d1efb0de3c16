"""SOAP, which pytorch_optimizer has: Adam in the eigenbases of Shampoo's preconditioner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from ..core.extras import require


def require_soap() -> None:
    """See to it that the package is there.

    Raises:
        MissingExtraError: it is not.
    """
    require("optimizers", "pytorch_optimizer")


def soap(groups: Iterable[Any], refresh: int, **options: Any) -> torch.optim.Optimizer:
    """One without decay.

    Args:
        groups: parameters, or groups of them.
        refresh: steps between two updates of the eigenbases.
        options: further ones, such as lr.

    Raises:
        MissingExtraError: pytorch_optimizer is not there.
    """
    require_soap()
    from pytorch_optimizer import SOAP

    made: Any = SOAP(groups, weight_decay=0.0, precondition_frequency=refresh, **options)
    optimizer: torch.optim.Optimizer = made
    return optimizer
