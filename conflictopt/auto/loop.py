"""What chooses the method of a torch loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from ..core.choices import changed
from ..optim.options import StepOptions
from .controller import Controller
from .host import LoopHost
from .options import TrainingOptions


def controller(
    method: Any,
    model: nn.Module | None,
    options: StepOptions | None,
    choices: Mapping[str, Any],
) -> Controller:
    """The controller of a torch loop.

    Args:
        method: a method expression, or an object.
        model: the network, if adapters may be attached to it.
        options, choices: as ``MultiLossOptimizer`` takes them.

    Raises:
        MethodError: an unknown method, or an option that is unknown or has no use.
    """
    given = options if isinstance(options, TrainingOptions) else TrainingOptions()
    if options is not None and not isinstance(options, TrainingOptions):
        given = changed(given, asdict(options))
    chosen = changed(given, choices)
    return Controller(method, chosen, LoopHost(model, chosen.seed, chosen.steps))
