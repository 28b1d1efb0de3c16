"""Whether a model of ``auto`` can be trained on by steps on its residuals, and whether one was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conflictopt.auto.random_states import RandomStates
from conflictopt.core.errors import ConflictOptError
from conflictopt.optim.checkpoint import KEY
from conflictopt.optim.optimizer import MultiLossOptimizer

from .hook import Batch, Hook
from .losses import LossReader, check_mean_square


def training_obstacle(hook: Hook, optimizer: MultiLossOptimizer | None) -> str | None:
    """Why the way a model is trained does not allow for them, a clause; ``None`` if it does.

    Args:
        hook: of the model.
        optimizer: that trains it.
    """
    if optimizer is None:
        return "the model is not compiled"
    name = type(optimizer.inner).__name__
    if optimizer.by_values:
        return f"{name} follows values of the losses already"
    if optimizer.watching.mode != "trust":
        return "updates are looked at, one for each loss's gradient"
    if any(group.get("weight_decay") for group in optimizer.param_groups):
        return f"{name} decays weights"
    regularizer = getattr(hook.model.net, "regularizer", None)
    if regularizer is not None and regularizer[1] > 0:
        return "the network is regularised"
    return None


def residual_entries(reader: LossReader, batch: Batch) -> int | str:
    """How many residuals the losses of a batch have; a clause where they cannot be read."""
    if batch[0] is not reader.all_points:
        return "points come in batches"
    before = RandomStates()
    try:
        losses = reader.read(batch, True).together(residuals=True)
        check_mean_square(losses)
    except ConflictOptError as error:
        return f"residuals cannot be read ({error})"
    finally:
        before.restore()
    return sum(r.numel() for name in losses.names for r, _ in losses.residuals[name])


def saved_control(checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The state of ``auto`` in DeepXDE's checkpoint, if its plan is carried out on residuals."""
    extras = checkpoint.get("optimizer_state_dict", {}).get(KEY) or {}
    control: Mapping[str, Any] | None = extras.get("control")
    plan = (control or {}).get("plan") or {}
    decided = bool(control) and bool((control or {}).get("decisions"))
    return control if decided and "curvature" in plan.get("kind", "").split(" + ") else None
