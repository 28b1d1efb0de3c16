"""The part of a run of ``auto`` whose steps are made of residuals, where its plan has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from conflictopt.core.errors import ConflictOptError
from conflictopt.core.objective import Objective
from conflictopt.optim.checkpoint import KEY
from conflictopt.optim.optimizer import MultiLossOptimizer
from conflictopt.selection.curvature_case import CurvatureCase

from .budget import Budget
from .hook import Batch, Hook
from .losses import LossReader
from .replacement import Replacement, regularised
from .residual_training import ResidualTraining

Closure = Callable[[], Objective]


class CurvatureStage:
    """Says whether there can be one, begins and ends it, and undoes a first step that fails.

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
        return CurvatureCase(None, found, left)

    def begin(self, batch: Batch, left: int) -> Replacement:
        """Begin it in a call of ``train``; what makes the optimizer.

        Args:
            batch: of the last step.
            left: iterations of the call.
        """
        self._training.take_over(batch, left)
        return self.resume()

    def resume(self) -> Replacement:
        """Begin it between two calls, as a checkpoint has it; likewise."""
        self._training.budget = Budget(None)
        return Replacement({"seed": self._seed})

    def arm(self, params: Sequence[Tensor]) -> None:
        """A new optimizer takes the next step: keep what there is until it was taken."""
        values = [*params, *self._hook.model.net.buffers()]
        self._before = {v: v.detach().clone() for v in values}

    def step(
        self, optimizer: MultiLossOptimizer, closure: Callable[[], Closure], batch: Batch
    ) -> str | None:
        """Take a step; a clause if it ends the stage: whatever fails is no reason to end the run.

        Args:
            optimizer: that steps on residuals.
            closure: makes what it evaluates.
            batch: of the model.
        """
        skipped, inner = optimizer.skipped, cast(Any, optimizer.inner)
        try:
            made = closure()
            if self._training.step(optimizer, made, batch, ends_stuck=False):
                self._before = {}  # from now on there is no way back
            if inner.stuck:
                optimizer.load_best(made)
        except Exception as error:  # of linear algebra, memory, the user's functions
            return f"{type(error).__name__}: {error}"
        if optimizer.skipped > skipped:
            return "something is not finite"
        return "they lead nowhere" if inner.stuck else None

    def leave(self, batch: Batch | None) -> None:
        """End it; what no step was taken from is as it was before.

        Args:
            batch: of the step that fails; ``None`` between two calls.
        """
        with torch.no_grad():
            for value, before in self._before.items():
                value.copy_(before)
        self._before = {}
        self._training.hand_back(batch)

    def obstacle(self) -> str | None:
        """Why it cannot go on with what the model was compiled with now; ``None`` if it can."""
        return model_obstacle(self._hook)


def training_obstacle(hook: Hook, optimizer: MultiLossOptimizer | None) -> str | None:
    """Why the way a model is trained does not allow for them, a clause; ``None`` if it does.

    Args:
        hook: of the model.
        optimizer: that trains it.
    """
    if optimizer is None:
        return "the model is not compiled"
    if optimizer.by_values:
        return f"{type(optimizer.inner).__name__} follows values of the losses already"
    if optimizer.watching.mode != "trust":
        return "updates are looked at, one for each loss's gradient"
    return model_obstacle(hook)


def model_obstacle(hook: Hook) -> str | None:
    """The same of what a model was compiled with."""
    if any(group.get("weight_decay") for group in hook.optimizer.param_groups):
        return f"{type(hook.optimizer).__name__} decays weights"
    if regularised(hook.model):
        return "the network is regularised"
    return None


def residual_entries(reader: LossReader, batch: Batch) -> int | str:
    """How many residuals the losses of a batch have; a clause where they cannot be read."""
    if batch[0] is not reader.all_points:
        return "points come in batches"
    try:
        losses = reader.with_residuals(batch)
    except ConflictOptError as error:
        return f"residuals cannot be read ({error})"
    return sum(r.numel() for name in losses.names for r, _ in losses.residuals[name])


def saved_control(checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The state of ``auto`` in DeepXDE's checkpoint, if its plan is carried out on residuals."""
    extras = checkpoint.get("optimizer_state_dict", {}).get(KEY) or {}
    control: Mapping[str, Any] | None = extras.get("control")
    plan = (control or {}).get("plan") or {}
    decided = bool(control) and bool((control or {}).get("decisions"))
    return control if decided and "curvature" in plan.get("kind", "").split(" + ") else None
