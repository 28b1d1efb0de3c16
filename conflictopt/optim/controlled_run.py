"""What a run says of its profile, its verdict and its plan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ..core.aggregator import Aggregator, members
from ..core.errors import MethodError
from .control import Control
from .session import Session


class ControlledRun(ABC):
    """A run whose method may be chosen while it trains.

    Attributes:
        session: the method, its state, and what the last step chose.
        control: what chooses the method; ``None`` of a fixed one that nothing watches.
        takes_closure: whether the last step was given one.
    """

    session: Session
    control: Control | None
    takes_closure: bool

    @property
    @abstractmethod
    def aggregator(self) -> Aggregator:
        """The method in use."""

    def begin_step(self, losses: Any) -> None:
        """A step begins, with what it was given."""
        self.takes_closure = callable(losses)
        if self.control is not None:
            self.control.begin_step()

    @property
    def in_stage(self) -> bool:
        """Whether the plan of ``"auto"`` takes the steps, on residuals, in the place of the wrapped
        optimizer.
        """
        return self.control is not None and self.control.takes_steps(self)

    def step_in_stage(self, closure: Callable[[], Any]) -> Any:
        """What ``step`` does then."""
        assert self.control is not None
        return self.control.step(self, closure)

    @property
    def profile(self) -> Any:
        """The samples of the run's recorder, under ``"auto"`` too; ``None`` before the first.

        Raises:
            MethodError: nothing records this run.
        """
        recorded = getattr(self.control, "profile", None)
        recorders = [m for m in members(self.aggregator) if hasattr(m, "profile_in")]
        if recorded is None and not recorders:
            raise MethodError(
                f"expected a run that is recorded, found {self.aggregator.label}: train with "
                "MultiLossOptimizer(optimizer, Recorder()), with 'auto', or with record=True."
            )
        return recorded if recorded is not None else recorders[0].profile_in(self.session)

    @property
    def diagnosis(self) -> Any:
        """The verdict that ``"auto"`` reached; ``None`` before it, and of a fixed method."""
        return getattr(self.control, "diagnosis", None)

    @property
    def plan(self) -> Any:
        """What ``"auto"`` chose; ``None`` before its verdict, and of a fixed method."""
        return getattr(self.control, "plan", None)

    @property
    def decisions(self) -> list[Any]:
        """What ``"auto"`` decided, in order; empty of a fixed method."""
        return list(getattr(self.control, "decisions", ()))
