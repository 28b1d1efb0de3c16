"""Whether a DeepXDE model can be trained by steps on its residuals."""

from __future__ import annotations

from conflictopt.auto.host import TRACKS, stage_obstacle, tracks_statistics
from conflictopt.core.errors import ConflictOptError
from conflictopt.optim.optimizer import MultiLossOptimizer
from conflictopt.selection.curvature_case import CurvatureCase

from .hook import Batch, Hook
from .losses import LossReader, check_mean_square
from .replacement import regularised


def model_obstacle(hook: Hook, optimizer: MultiLossOptimizer) -> str | None:
    """Why what a model is compiled with does not allow for them, a clause.

    Args:
        hook: of the model.
        optimizer: that trains it.
    """
    if regularised(hook.model):
        return "the network is regularised"
    return TRACKS if tracks_statistics(hook.model.net) else stage_obstacle(optimizer)


def curvature_case(
    hook: Hook, reader: LossReader, optimizer: MultiLossOptimizer, batch: Batch | None, left: int
) -> CurvatureCase:
    """What ``auto`` wants to know of it.

    Args:
        hook: of the model.
        reader: of its losses.
        optimizer: that trains it.
        batch: of the last step.
        left: iterations of the present call of ``train``.
    """
    why = model_obstacle(hook, optimizer)
    if why is not None or batch is None:
        return CurvatureCase(why or "no step was taken")
    if batch[0] is not reader.all_points:
        return CurvatureCase("points come in batches")
    try:
        losses = reader.with_residuals(batch)
        check_mean_square(losses)
    except ConflictOptError as error:
        return CurvatureCase(f"residuals cannot be read ({error})", unreadable=True)
    count = sum(r.numel() for name in losses.names for r, _ in losses.residuals[name])
    groups, unknowns = reader.groups, hook.trainable_unknowns()
    inverse = groups is not None and unknowns and len(groups.measured) < len(groups.names)
    measured = groups.measured if groups is not None and inverse else ()
    return CurvatureCase(None, count, left, measured)
