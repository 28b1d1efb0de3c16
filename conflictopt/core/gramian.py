"""Inner products of per-loss gradients."""

from __future__ import annotations

import torch
from torch import Tensor

_ENTRIES = 1 << 18
"""Entries promoted to float64 at a time (2 MiB), so that no second [K, P] buffer is needed."""
_MANY = 8
"""Rows from which halving the work pays for going through numpy."""


def norms(rows: Tensor) -> Tensor:
    """``[K, P]`` rows -> their ``[K]`` float64 norms on the CPU, accumulated in float64."""
    total = torch.zeros(rows.shape[0], dtype=torch.float64, device=rows.device)
    for chunk in torch.split(rows, max(1, _ENTRIES // rows.shape[0]), dim=1):
        total += torch.linalg.vector_norm(chunk, dim=1, dtype=torch.float64).square_()
    return total.sqrt_().cpu()


def gramian(rows: Tensor) -> Tensor:
    """``[K, P]`` rows -> their ``[K, K]`` float64 Gramian on the CPU, accumulated in float64."""
    count = rows.shape[0]
    product = _symmetric if count >= _MANY and rows.device.type == "cpu" else _product
    if rows.numel() <= _ENTRIES:
        return product(rows.double()).cpu()
    total = torch.zeros(count, count, dtype=torch.float64, device=rows.device)
    for chunk in torch.split(rows, max(1, _ENTRIES // count), dim=1):
        total += product(chunk.double())
    return total.cpu()


def _product(wide: Tensor) -> Tensor:
    return wide @ wide.T


def _symmetric(wide: Tensor) -> Tensor:
    """Numpy knows that a matrix times its own transpose has two equal halves; torch does not."""
    array = wide.numpy()
    return torch.from_numpy(array @ array.T)
