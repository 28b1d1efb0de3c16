"""Unknowns of inverse problems that DeepXDE would not train."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .patch_errors import PatchError


def adopt_unknowns(
    optimizer: torch.optim.Optimizer, unknowns: Sequence[Tensor], scheduled: bool
) -> str | None:
    """Add unknowns to an optimizer; DeepXDE drops them when it is given an optimizer instance.

    Args:
        optimizer: as the model was compiled with.
        unknowns: the model's trainable ones.
        scheduled: whether a schedule knows the optimizer's groups already.

    Returns:
        What was done, in a sentence; ``None`` if the optimizer has them.

    Raises:
        PatchError: they cannot be added.
    """
    held = {id(p) for g in optimizer.param_groups for p in g["params"]}
    missing = [v for v in unknowns if id(v) not in held]
    if not missing:
        return None
    if isinstance(optimizer, torch.optim.LBFGS) or scheduled:
        raise PatchError(
            f"{len(missing)} external_trainable_variables are not among the parameters of "
            f"the {type(optimizer).__name__} instance, so DeepXDE would not train them. "
            "Create the optimizer with list(net.parameters()) + external_trainable_variables."
        )
    optimizer.add_param_group({"params": missing, "weight_decay": 0})
    return (
        f"added {len(missing)} external_trainable_variables to the "
        f"{type(optimizer).__name__} instance: DeepXDE would not have trained them."
    )
