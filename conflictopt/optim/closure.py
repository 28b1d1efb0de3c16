"""One step of an optimizer that evaluates a closure, once or, searching a line, many times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ..core.aggregator import Aggregator
from ..core.errors import MethodError, NonFiniteError
from ..core.layout import ParameterLayout
from ..core.objective import Objective
from . import line_search as linesearch
from .actual_update import ActualUpdate, UpdateMode, Watching
from .block_rates import RelativeRates
from .session import LossForms, Session


class Owner(Protocol):
    """What a step needs of the optimizer that takes it: a ``MultiLossOptimizer``."""

    inner: torch.optim.Optimizer
    session: Session
    blocks: dict[str, list[Tensor]]
    rates: dict[str, float]

    @property
    def aggregator(self) -> Aggregator: ...
    @property
    def update(self) -> UpdateMode: ...
    @property
    def watching(self) -> Watching: ...
    @property
    def looks(self) -> bool: ...
    def layout(self) -> ParameterLayout: ...
    def clear_grads(self) -> None: ...
    def read(self, losses: LossForms) -> Objective: ...


class Evaluations:
    """What a wrapped optimizer calls in place of the user's closure, in one step.

    Args:
        owner: of the session and the wrapped optimizer.
        closure: the user's; returns losses and calls no backward.
    """

    def __init__(self, owner: Owner, closure: Callable[[], LossForms]) -> None:
        self._owner = owner
        self._closure = closure
        self._searching = linesearch.may_search(owner.inner)
        self._before = linesearch.StepUndo(owner.layout().params if self._searching else ())
        self._calls = 0
        self._watched: ActualUpdate | None = None
        self._rates: RelativeRates | None = None

    def __call__(self) -> Tensor:
        """The value at the present parameters, with its gradient in ``.grad``."""
        owner, session = self._owner, self._owner.session
        self._calls += 1
        again = self._calls > 1
        keep = owner.looks and not again
        with torch.enable_grad():
            objective = owner.read(self._closure())
            if again and owner.update != "trust":
                raise MethodError(
                    f"expected update='trust' with {type(owner.inner).__name__}, found "
                    f"'{owner.update}': it evaluates its closure more than once per step."
                )
            owner.clear_grads()
            # the layout again: the closure may attach adapters, which adds parameters
            changed = keep and owner.update == "align"
            value = session.accumulate(
                objective, owner.layout(), again, self._searching, keep, from_rows=changed
            )
        if objective.count > 1 and (again or linesearch.searches_lines(owner.inner)):
            c = session.pending
            linesearch.check_scalar(owner.inner, owner.aggregator, owner.layout(), c)
        if again:
            session.source = self._watched = None  # an update is of its last evaluation
        else:
            if session.changed:
                # another objective than the last step's: differences of gradients mean nothing
                linesearch.restart_curvature(owner.inner)
            self._watched = ActualUpdate.begin(session, owner.inner, owner.watching)
            self._rates = RelativeRates(owner.blocks, owner.rates)
        return value

    def finish(self) -> None:
        """The optimizer has stepped.

        Raises:
            NonFiniteError: its search diverged.
        """
        if self._rates is not None:
            self._rates.apply()
        if self._watched is not None:
            self._watched.end(self._owner.session)
        if self._calls > 1 and self._before.spoilt():
            raise NonFiniteError(
                f"expected finite parameters after {self._calls} closure calls of "
                f"{type(self._owner.inner).__name__}, found inf or nan: its search diverged."
            )

    def undo(self) -> None:
        """The step failed: the parameters are those before it."""
        if self._calls > 1:
            self._before.restore()
            linesearch.restart_curvature(self._owner.inner)
