"""What may choose the method of a run while it trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import nn

from ..core.aggregator import Aggregator
from ..core.errors import MethodError
from ..core.objective import Objective
from ..methods.expression import MethodExpression
from ..methods.registry import controller
from .options import StepOptions, only_of_steps


@runtime_checkable
class Control(Protocol):
    """Chooses the method of a run while it trains, as ``"auto"`` does; its state is saved with it.

    Where a method takes an ``optimizer``, that is the ``MultiLossOptimizer`` of the run, whose
    module imports this one.
    """

    @property
    def options(self) -> StepOptions:
        """How each step is taken."""

    @property
    def auto(self) -> bool:
        """Whether it chooses the method, rather than watch a fixed one."""

    def begin_step(self) -> None:
        """A step begins."""

    def takes_steps(self, optimizer: Any) -> bool:
        """Whether it takes the steps, on residuals, in the place of the wrapped optimizer."""

    def step(self, optimizer: Any, closure: Callable[[], Any]) -> Any:
        """Take one, where it does.

        Args:
            closure: returns the losses with their residuals.
        """

    def load_best(self, closure: Callable[[], Any]) -> None:
        """Give the parameters the values that did best on fresh rows, likewise."""

    def first(self) -> Aggregator:
        """The method of the first step."""

    def examine(self, objective: Objective) -> None:
        """The losses of a step, before it is taken.

        Raises:
            MethodError: losses that lack what the methods to come will read.
        """

    def after_step(self, optimizer: Any) -> None:
        """A step was taken."""

    def rewrapped(self, optimizer: Any) -> None:
        """The run goes on with another wrapped optimizer."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings that ``load_state_dict`` goes on from."""

    def load_state_dict(self, saved: Mapping[str, Any] | None, optimizer: Any) -> None:
        """Go on from a checkpoint, with the method that was in use; ``None`` starts afresh.

        Raises:
            CheckpointError: a state that cannot be read; nothing was changed.
        """

    def loaded(self, optimizer: Any) -> None:
        """The rest of the checkpoint was loaded too."""


def controlled(
    method: Aggregator | Control | str,
    model: nn.Module | None,
    options: StepOptions | None,
    choices: Mapping[str, Any],
) -> Control | None:
    """What chooses the method of a run: for ``"auto"``, or where a run is to be profiled.

    Args:
        method: as the user gave it.
        model: the network, for adapters.
        options, choices: as the user gave them.

    Returns:
        ``None`` of a fixed method that nothing watches.

    Raises:
        MethodError: options that have no use here.
    """
    if isinstance(method, Control):
        if model is not None or options is not None or choices:
            raise MethodError("expected a control alone: model and options are its own.")
        return method
    auto = isinstance(method, str) and MethodExpression.parse(method).auto is not None
    if auto or not only_of_steps(options, choices):
        made: Control = controller()(method, model, options, choices)
        return made
    if model is not None:
        raise MethodError(
            "expected model= with method 'auto', which may attach adapters to it, found it with a "
            "fixed method."
        )
    return None
