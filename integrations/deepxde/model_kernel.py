"""The tangent kernel of a DeepXDE model."""

from __future__ import annotations

from conflictopt.auto.random_states import RandomStates
from conflictopt.core.layout import ParameterLayout
from conflictopt.kernel import TangentKernel, blocks_of_layout, tangent_kernel

from .hook import Batch
from .losses import LossReader, check_mean_square


def model_kernel(
    reader: LossReader, batch: Batch, layout: ParameterLayout, rows: int | None
) -> TangentKernel:
    """That between the losses of a batch; no random state is moved.

    Args:
        reader: of the losses.
        batch: where they are evaluated.
        layout: the parameters.
        rows: residual entries per loss; ``None`` for all of them.

    Raises:
        ResidualError: losses that are not mean squares.
    """
    before = RandomStates()
    try:
        losses = reader.read(batch, True).together(residuals=True)
    finally:
        before.restore()
    check_mean_square(losses)
    return tangent_kernel(losses.residuals, blocks_of_layout(layout), rows=rows)
