"""Runs of several processes, each with its share of the points."""

from __future__ import annotations

from typing import Any

import torch

from .aggregator import Aggregator, Needs
from .errors import MethodError


def world_size() -> int:
    """Number of processes that train together; 1 where torch knows of no others."""
    distributed: Any = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return 1
    size: int = distributed.get_world_size()
    return size


def check_alone(aggregator: Aggregator) -> None:
    """Check that a method may step in a process that is one of several.

    ``sum`` may: its step is ``loss.backward()``, with whatever reduces gradients hooked into that
    (``DistributedDataParallel``, ``fully_shard``). Others choose by losses and gradients, which
    here are those of this process's points alone.

    Raises:
        MethodError: replicas would choose differently.
    """
    if world_size() > 1 and not (aggregator.plain and aggregator.needs == Needs.LOSSES):
        raise _refusal(aggregator.label)


def check_curvature_alone() -> None:
    """The same for steps on residuals.

    Raises:
        MethodError: replicas would step differently.
    """
    if world_size() > 1:
        raise _refusal("LevenbergMarquardt")


def _refusal(label: str) -> MethodError:
    return MethodError(
        f"expected 'sum' in a process group of {world_size()} processes, found {label}: it goes by "
        "the points of one process, and replicas would drift apart. Train with 'sum', in one "
        "process, or, if each process trains a model of its own, with alone=True."
    )
