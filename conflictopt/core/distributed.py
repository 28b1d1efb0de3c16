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


def check_alone(aggregator: Aggregator, looks: bool = False) -> None:
    """Check that a method may step in a process that is one of several.

    ``sum`` may: its step is ``loss.backward()``, with whatever reduces gradients hooked into that
    (``DistributedDataParallel``, ``fully_shard``). Others choose by losses and gradients, which
    here are those of this process's points alone.

    Args:
        aggregator: the method.
        looks: whether gradients of single losses are read for the update.

    Raises:
        MethodError: replicas would choose differently.
    """
    chooses = looks or not (aggregator.plain and aggregator.needs == Needs.LOSSES)
    if chooses and world_size() > 1:
        raise _refusal(
            f"{aggregator.label} with a treatment of updates" if looks else aggregator.label
        )


def check_optimizer_alone(name: str) -> None:
    """The same for an optimizer that goes by losses or residuals itself.

    Raises:
        MethodError: replicas would step differently.
    """
    if world_size() > 1:
        raise _refusal(name)


def _refusal(label: str) -> MethodError:
    return MethodError(
        f"expected 'sum' in a process group of {world_size()} processes, found {label}: it goes by "
        "the points of one process, and replicas would drift apart. Train with 'sum', in one "
        "process, or, if each process trains a model of its own, with alone=True."
    )
