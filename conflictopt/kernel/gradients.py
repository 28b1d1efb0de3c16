"""Inner products of the losses' gradients, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .blocks import Columns
from .residuals import ResidualVector
from .spectrum import Array


def block_gramians(losses: Sequence[ResidualVector], columns: Columns) -> Array:
    """``[B, K, K]`` Gramians of the K gradients over each block: one backward pass per loss."""
    g = torch.stack([v.gradient(columns) for v in losses])
    return np.stack([(g[:, c] @ g[:, c].T).numpy() for c in columns.blocks.values()])
