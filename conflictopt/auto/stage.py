"""What trains after the profile of ``auto``, in the time of the steps that are left."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..core.errors import ConflictOptError, ConflictOptWarning, NonFiniteError
from ..core.reports import Reports
from ..optim.optimizer import MultiLossOptimizer
from .closures import Closure
from .first_order_part import LEAST_OF_SOAP, FirstOrderPart
from .measurements import Measurements
from .residual_part import EARLY, ResidualPart, is_ours, parameters, sum_of
from .stage_pace import StagePace

LEAST_STEPS = 50
"""With fewer steps on residuals in its time, a first-order optimizer does better
(docs/curvature.md)."""
MARGIN = 0.1
"""Of the time of the calls left: what may be spent beyond it, to make up for steps on residuals
that had to be undone."""
LAST = 0.1
"""The part of first-order calls at whose end the best parameters are kept."""
_TIMED = 3
"""Steps after which the cost of one is known: the first finds out how rows are differentiated."""
_AGAIN = 100
"""Steps in whose time steps that led nowhere are tried again: points, weights or coefficients may
have changed."""

Weights = Literal["method", "ntk", "sum"]
"""Of the losses in first-order steps: by the plan's method, by the NTK, or none."""
_OF_SOAP = (
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
    torch.OutOfMemoryError,
    NonFiniteError,
)
"""Errors, of linear algebra and memory, that the loop's own optimizer would not have had."""


class Stage:
    """Steps of its own where a loop expects those of its optimizer.

    They are on residuals. Where these fail or come to nothing, first-order ones go on for good. The
    loop goes on as it is, and its optimizer keeps its state; most of its calls do nothing while
    steps on residuals are taken, as one takes as long as many plain ones.

    Args:
        optimizer: of the loop, whose parameters are trained.
        method: weights the losses; a reweighting of whole losses, or ``"sum"``.
        pace: says when steps are taken.
        measured: names of losses that hold noisy measurements.
        seed: of the rows.
        weights: of the losses in first-order steps.

    Attributes:
        part: takes the steps.
        pace: says when.
        failure: why the run has to go on without it, a clause.
        rest: why no step is taken for some time, a clause: what was found stays.
        news: why it is in its part, a clause.
    """

    def __init__(
        self,
        optimizer: MultiLossOptimizer,
        method: Any,
        pace: StagePace,
        measured: Sequence[str] = (),
        seed: int = 0,
        weights: Weights = "sum",
    ) -> None:
        self._method, self._weights = method, weights
        self.pace, self._seed, self._loop = pace, seed, optimizer
        self.failure: str | None = None
        self.rest: str | None = None
        self.news = "as planned"
        self._value = sum_of(optimizer.session.last)
        self._left: int | None = None
        self._from: int | None = None
        self._measurements = Measurements(measured)
        self.part: ResidualPart | FirstOrderPart = self._residuals()

    @property
    def run(self) -> MultiLossOptimizer:
        """What takes the steps, with what weights the losses."""
        return self.part.run

    @property
    def by_residuals(self) -> bool:
        """Whether steps on residuals are taken."""
        return isinstance(self.part, ResidualPart)

    def fits(self, optimizer: MultiLossOptimizer) -> bool:
        """Whether it trains the parameters that the loop's optimizer has."""
        return list(map(id, parameters(optimizer))) == list(map(id, self.part.params))

    def follow(self, optimizer: MultiLossOptimizer, weighted: bool = False) -> None:
        """The loop has another optimizer; with other parameters, steps begin anew.

        Args:
            optimizer: of the loop.
            weighted: whether the user weights the losses now.
        """
        self._loop, self.rest = optimizer, None
        if weighted and self._weights == "ntk":
            self._weights = "method"
        part = self.part
        if isinstance(part, FirstOrderPart):
            part.follow(optimizer, self._method_of(part.own))
        else:
            part.follow(optimizer)

    def share_reports(self, reports: Reports) -> None:
        """What the part reports goes there."""
        self.run.session.reports = reports

    def call(self, closure: Closure, left: int | None) -> Tensor:
        """The loop calls ``step``.

        Args:
            closure: returns the losses with their residuals.
            left: calls that follow before the training ends, or pauses; ``None`` if nobody knows.

        Returns:
            ``[]`` the loss before the last step, on its rows; before the first the sum of the
            losses of the step before.

        Raises:
            Exception: of the closure, after a step that helped.
        """
        if left is not None and (self._left is None or left > self._left):
            self._begin_call(left)
        self._left = left
        self.pace.call()
        if self.rest is not None and self.pace.waited(_AGAIN):
            self.rest = None
        part, goes_on = self.part, True
        while goes_on and self.part is part and self._due():
            goes_on = self._step(closure)
        if left == 0 and self.rest is None and self.failure is None and self.part is part:
            self._end_call(closure)
        like = self.part.params[0]
        return torch.tensor(self._value, dtype=like.dtype, device=like.device)

    def _begin_call(self, left: int) -> None:
        """The first of a new call of ``train``."""
        self.rest, self._from = None, left + 1
        if isinstance(self.part, FirstOrderPart):
            self.part.forget()

    def interrupted(self) -> None:
        """A call of ``train`` ended before its last step."""
        self._left = None

    def _due(self) -> bool:
        if self.rest is not None or self.failure is not None:
            return False
        return self.pace.due if self.by_residuals else self.pace.due_first()

    def _step(self, closure: Closure) -> bool:
        """Take one; whether another may follow in this call."""
        part, began = self.part, time.perf_counter()
        try:
            value = part.step(closure, self._is_late)
        except BaseException as error:
            why = self._failed(part, error)
            if why is None:
                self.pace.undone()
                raise
            self._took(part, time.perf_counter() - began)
            warnings.warn(f"conflictopt: {why}", ConflictOptWarning, stacklevel=2)
            return False
        self._took(part, time.perf_counter() - began)
        if value is None:  # skipped
            return False
        self._value = value
        if isinstance(part, ResidualPart):
            self._consider(part, closure)
        return True

    def _took(self, part: ResidualPart | FirstOrderPart, seconds: float) -> None:
        if isinstance(part, ResidualPart):
            self.pace.took(seconds)
        else:
            self.pace.took_first(None if part.own else seconds)

    def _failed(self, part: ResidualPart | FirstOrderPart, error: BaseException) -> str | None:
        """Go on without what failed; a sentence. ``None`` for errors that are the user's.

        Errors of linear algebra, of memory, or, on rows that are new to them, of the user's
        functions: the parameters are those before the step.
        """
        why = f"{type(error).__name__}: {error}"
        if isinstance(part, ResidualPart):
            if not isinstance(error, Exception) or (part.helped and not is_ours(error)):
                return None
            if not part.helped:
                part.undo()
            self._weights = "sum"  # residuals may be what failed
            self._without(why)
            return f"no steps on residuals: {why}"
        if isinstance(error, _OF_SOAP) and part.preconditioned:
            part.undo()
            self._enter(self._first_order(soap=False), f"SOAP failed: {why.rstrip('.')}")
            return f"no steps of SOAP: {why}"
        if isinstance(error, ConflictOptError) and self._method_of(part.own) != "sum":
            self._method = self._weights = "sum"
            self._enter(self._first_order(not part.own), f"unweighted: {why.rstrip('.')}")
            return f"losses are not weighted any more: {why}"
        return None

    @property
    def _is_late(self) -> bool:
        """Whether the step is among the last of its part, of which the best is kept."""
        if self._left is None or self._from is None:
            return False
        return self._left <= LAST * self._from

    def _consider(self, part: ResidualPart, closure: Closure) -> None:
        """What becomes of steps on residuals, after one of them."""
        left = self._left
        if part.optimizer.stuck:
            self._end(part, closure, "steps have led nowhere for long")
        elif part.optimizer.converged:
            self._end(part, closure, "the residuals are rounding errors")
        elif part.steps == _TIMED and left is not None and self.pace.too_few(left, LEAST_STEPS):
            fit = self.pace.fitting(left)
            self.pace.give_up()
            part.undo()
            self._without(f"{fit:.0f} fit into the time that is left, {LEAST_STEPS} would do")
        elif part.steps == EARLY and part.short_steps is not None:
            part.undo()
            self._enter(self._first_order(soap=False), part.short_steps)

    def _method_of(self, own: bool) -> Any:
        """What weights the losses in first-order steps.

        Args:
            own: whether the loop's own optimizer takes them, as it did before.
        """
        return self._method if own or self._weights == "method" else self._weights

    def _residuals(self) -> ResidualPart:
        return ResidualPart(self._loop, self._method, self._measurements, self._seed)

    def _first_order(self, soap: bool) -> FirstOrderPart:
        return FirstOrderPart(self._loop, self._method_of(not soap), self._seed, soap)

    def _enter(self, part: ResidualPart | FirstOrderPart, why: str) -> None:
        if isinstance(part, FirstOrderPart) and part.own:
            self.pace.forgive(int(MARGIN * (self._from or 0)))
        self.part, self._from = part, self._left
        self.news = why

    def _end(self, part: ResidualPart, closure: Closure, why: str) -> None:
        """Take no step for some time; or none at all, if those so far did not help."""
        if not part.helped:
            part.undo()
            self._without(why)
            return
        self.rest = why
        self.pace.rest()
        self._end_call(closure)
        part.optimizer.forget_refused()

    def _without(self, why: str) -> None:
        """No steps on residuals any more: SOAP, if it can come to something, or the rule's plan."""
        other, left = self._first_order(soap=True), self._left
        if other.preconditioned and (left is None or self.pace.affordable(left) >= LEAST_OF_SOAP):
            self._enter(other, f"no steps on residuals: {why.rstrip('.')}")
        else:
            self.failure = why

    def _end_call(self, closure: Closure) -> None:
        """Give the parameters the values that did best."""
        began = time.perf_counter()
        try:
            self.part.load_best(closure)
        except ConflictOptError as error:
            self.rest = self.rest or f"{type(error).__name__}: {error}"
        self.pace.spent += time.perf_counter() - began

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings that ``load_state_dict`` goes on from."""
        return {
            "kind": self.part.kind,
            "part": self.part.state_dict(),
            "own": isinstance(self.part, FirstOrderPart) and self.part.own,
            "pace": self.pace.state_dict(),
            "measured": self._measurements.state_dict(),
            "weights": self._weights,
            "plain": self._method == "sum",
            "value": self._value,
            "left": self._left,
            "from": self._from,
            "rest": self.rest,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            CheckpointError: it is of other parameters.
        """
        self._weights = saved["weights"]
        self._method = "sum" if saved["plain"] else self._method
        self._measurements.load_state_dict(saved["measured"])
        if saved["kind"] == FirstOrderPart.kind:
            self.part = self._first_order(soap=not saved["own"])
        self.part.load_state_dict(saved["part"])
        self.pace.load_state_dict(saved["pace"])
        self._value, self.rest = float(saved["value"]), saved["rest"]
        self._left, self._from = saved["left"], saved["from"]
