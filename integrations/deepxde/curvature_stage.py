"""The part of a run of ``auto`` whose steps are made of residuals, where its plan has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from conflictopt.auto.random_states import RandomStates
from conflictopt.core.errors import ConflictOptError
from conflictopt.optim.checkpoint import KEY
from conflictopt.optim.optimizer import MultiLossOptimizer
from conflictopt.selection.curvature_case import CurvatureCase

from .budget import Budget
from .hook import Batch, Hook
from .losses import LossReader, check_mean_square
from .replacement import Replacement
from .residual_training import ResidualTraining


class CurvatureStage:
    """Says whether there can be one, begins it, and undoes it if its first step fails.

    Args:
        hook: of the model.
        reader: of its losses.
        training: takes the steps.
        seed: of the run.
    """

    def __init__(
        self, hook: Hook, reader: LossReader, training: ResidualTraining, seed: int
    ) -> None:
        self._hook, self._reader, self._training, self._seed = hook, reader, training, seed
        self._before: dict[Tensor, Tensor] = {}

    def case(
        self, optimizer: MultiLossOptimizer | None, batch: Batch | None, adapted: bool, left: int
    ) -> CurvatureCase:
        """Whether the present call of ``train`` can go on with such steps.

        Args:
            optimizer: that trains.
            batch: of the last step.
            adapted: whether the network has adapters.
            left: iterations of the call.
        """
        why = training_obstacle(self._hook, optimizer)
        if why is None and adapted:
            why = "the network has adapters"
        if why is not None or batch is None or optimizer is None:
            return CurvatureCase(why or "no step was taken")
        found = residual_entries(self._reader, batch)
        if isinstance(found, str):
            return CurvatureCase(found)
        return CurvatureCase(None, found, optimizer.layout().size, left)

    def begin(self, params: Sequence[Tensor], batch: Batch, left: int) -> Replacement:
        """Begin it in a call of ``train``; what makes the optimizer.

        Args:
            params: that are trained.
            batch: of the last step.
            left: iterations of the call.
        """
        self._before = {p: p.detach().clone() for p in params}
        self._training.take_over(batch, left)
        return self.resume()

    def resume(self) -> Replacement:
        """Begin it between two calls, as a checkpoint has it; likewise."""
        self._training.budget = Budget(None)
        return Replacement({"seed": self._seed})

    def took_step(self) -> None:
        """A step was taken: from now on there is no way back."""
        self._before = {}

    def give_back(self) -> bool:
        """Undo it; whether that is possible."""
        if not self._before:
            return False
        with torch.no_grad():
            for p, before in self._before.items():
                p.copy_(before)
        self._before = {}
        self._training.hand_back()
        return True


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
