"""Inner products of per-loss gradients."""

from __future__ import annotations

import torch
from torch import Tensor

_ENTRIES = 1 << 18
"""Entries promoted to float64 at a time (2 MiB), so that no second [K, P] buffer is needed."""


def norms(rows: Tensor) -> Tensor:
    """``[K, P]`` rows -> their ``[K]`` float64 norms on the CPU, accumulated in float64."""
    total = torch.zeros(rows.shape[0], dtype=torch.float64, device=rows.device)
    for chunk in torch.split(rows, max(1, _ENTRIES // rows.shape[0]), dim=1):
        total += torch.linalg.vector_norm(chunk, dim=1, dtype=torch.float64).square_()
    return total.sqrt_().cpu()


def gramian(rows: Tensor) -> Tensor:
    """``[K, P]`` rows -> their ``[K, K]`` float64 Gramian on the CPU, accumulated in float64."""
    if rows.numel() <= _ENTRIES:
        wide = rows.double()
        return (wide @ wide.T).cpu()
    count = rows.shape[0]
    total = torch.zeros(count, count, dtype=torch.float64, device=rows.device)
    for chunk in torch.split(rows, max(1, _ENTRIES // count), dim=1):
        wide = chunk.double()
        total.addmm_(wide, wide.T)
        del wide  # before the next is made
    return total.cpu()
