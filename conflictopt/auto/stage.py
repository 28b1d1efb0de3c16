"""What trains after the profile of ``auto``, in the time of the steps that are left."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConflictOptError, ConflictOptWarning
from ..optim.optimizer import MultiLossOptimizer
from ..selection.curvature_case import LEAST_ITERATIONS
from .closures import Closure
from .first_order_part import FirstOrderPart
from .residual_part import EARLY, ResidualPart, is_ours, parameters, sum_of
from .stage_pace import StagePace

LEAST_STEPS = 50
"""With fewer steps on residuals in its time, a first-order optimizer does better
(docs/curvature.md)."""
LEAST_AGAIN = 20
"""The same where a first-order optimizer went before."""
TRIAL = 0.3
"""The part of the calls left after which steps on residuals should have come somewhere: where they
have not, another optimizer trains (docs/auto.md)."""
BETWEEN = 0.65
"""The part of the calls left for which it does."""
LAST = 0.1
"""The part of those calls at whose end the best parameters are kept."""
_TIMED = 3
"""Steps after which the cost of one is known: the first finds out how rows are differentiated."""
_AGAIN = 100
"""Steps in whose time steps that led nowhere are tried again: points, weights or coefficients may
have changed."""


class Stage:
    """Steps of its own where a loop expects those of its optimizer, in parts of two kinds.

    Steps on residuals begin. Where they hardly lower their loss, as on a plateau, first-order
    steps train for a while, and steps on residuals are tried again. The loop goes on as it is, and
    its optimizer keeps its state; most of its calls do nothing while steps on residuals are
    taken, as one takes as long as many plain ones.

    Args:
        optimizer: of the loop, whose parameters are trained.
        method: weights the losses; a reweighting of whole losses, or ``"sum"``.
        pace: says when steps are taken.
        measured: names of losses that hold noisy measurements.
        seed: of the rows.
        first_order: weights the losses in first-order steps.

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
        first_order: Any = "sum",
    ) -> None:
        self._method, self._weights = method, first_order
        self.pace, self._seed, self._loop = pace, seed, optimizer
        self.failure: str | None = None
        self.rest: str | None = None
        self.news = "as planned"
        self._value = sum_of(optimizer.session.last)
        self._left: int | None = None
        self._from: int | None = None
        self._tried = self._stays = self._own = False
        self._other: FirstOrderPart | None = None
        self.measured = tuple(measured)
        self.part: ResidualPart | FirstOrderPart
        self.part = ResidualPart(optimizer, method, self.measured, seed)

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

    def follow(self, optimizer: MultiLossOptimizer) -> None:
        """The loop has another optimizer; with other parameters, steps begin anew."""
        self._loop = optimizer
        for part in {self.part, self._other or self.part}:
            part.follow(optimizer)
        self.rest = None

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
            self.rest, self._from = None, left + 1  # a new call of train
        self._left = left
        self.pace.call()
        if self.rest is not None and self.pace.waited(_AGAIN):
            self.rest = None
        part = self.part
        while self._due() and self.part is part:
            self._step(closure)
        if isinstance(part, FirstOrderPart) and self.part is part:
            self._leave_first_order(closure)
        if left == 0 and self.rest is None and self.failure is None and self.part is part:
            self._end_call(closure)
        like = self.part.params[0]
        return torch.tensor(self._value, dtype=like.dtype, device=like.device)

    def _due(self) -> bool:
        if self.rest is not None or self.failure is not None:
            return False
        return self.pace.due if self.by_residuals else self.pace.due_first()

    def _step(self, closure: Closure) -> None:
        part, began = self.part, time.perf_counter()
        try:
            value = part.step(closure, self._passed(1 - LAST))
        except BaseException as error:
            ours = isinstance(part, ResidualPart) and isinstance(error, Exception)
            if not ours or (part.helped and not is_ours(error)):  # type: ignore[arg-type]
                self.pace.undone()
                raise
            # of linear algebra, of memory, or, on rows that are new to them, the user's functions
            self.pace.took(time.perf_counter() - began)
            self._fail(error)  # type: ignore[arg-type]
            return
        took = self.pace.took if isinstance(part, ResidualPart) else self.pace.took_first
        took(time.perf_counter() - began)
        if value is None:  # skipped
            return
        self._value = value
        if isinstance(part, ResidualPart):
            self._consider(part, closure)

    def _passed(self, share: float) -> bool:
        """Whether this share of the calls that there were at the part's begin is over."""
        if self._left is None or self._from is None:
            return False
        return self._left <= (1 - share) * self._from

    def _consider(self, part: ResidualPart, closure: Closure) -> None:
        """What becomes of steps on residuals, after one of them."""
        left, least = self._left, LEAST_STEPS if self._other is None else LEAST_AGAIN
        if part.optimizer.stuck:
            self._end(part, closure, "steps have led nowhere for long")
        elif part.optimizer.converged:
            self._end(part, closure, "the residuals are rounding errors")
        elif part.steps == _TIMED and left is not None and self.pace.too_few(left, least):
            fit = self.pace.fitting(left)
            self.pace.give_up()
            part.undo()
            self._without(f"{fit:.0f} fit into the time that is left, {least} would do")
        elif part.steps == EARLY and part.short_steps is not None:
            self._leave_residuals(part, None, part.short_steps)
        elif self._passed(TRIAL) and not self._tried:
            self._tried = True
            self._leave_residuals(part, part.plateau, part.stalled)

    def _leave_residuals(
        self, part: ResidualPart, plateau: str | None, stalled: str | None
    ) -> None:
        """Where they lead nowhere, undo them: on a plateau go on with SOAP for a while; where they
        stall, for good with the loop's own optimizer, which got here.
        """
        why = plateau or stalled
        if why is None or (self._left or 0) < LEAST_ITERATIONS:
            return
        self._stays = plateau is None or self._other is not None
        self._own = plateau is None and self._other is None
        part.undo()
        self._enter(self._first_order(), why)

    def _first_order(self) -> FirstOrderPart:
        """That of before, or the first."""
        if self._own:
            return FirstOrderPart(self._loop, self._method, self._seed, False)
        return self._other or FirstOrderPart(self._loop, self._weights, self._seed, True)

    def _leave_first_order(self, closure: Closure) -> None:
        """Try steps on residuals again, once first-order ones have had their time."""
        over = self._passed(BETWEEN) and not self._stays
        if not over or (self._left or 0) < LEAST_ITERATIONS:
            return
        assert isinstance(self.part, FirstOrderPart)
        self.part.load_best(closure)
        self._other = self.part
        again = ResidualPart(self._loop, self._method, self.measured, self._seed)
        self._enter(again, "tried again")

    def _enter(self, part: ResidualPart | FirstOrderPart, why: str) -> None:
        self.part, self._from, self._tried = part, self._left, False
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

    def _fail(self, error: Exception) -> None:
        """A step on residuals failed; the parameters are those before it."""
        why = f"{type(error).__name__}: {error}"
        warnings.warn(f"no steps on residuals: {why}", ConflictOptWarning, stacklevel=2)
        if not self.part.helped and isinstance(self.part, ResidualPart):
            self.part.undo()
        self._weights, self._other = "sum", None  # residuals may be what failed
        self._without(why)

    def _without(self, why: str) -> None:
        """No steps on residuals any more."""
        other = self._first_order()
        if other.preconditioned:
            self._stays = True
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
            "pace": self.pace.state_dict(),
            "measured": list(self.measured),
            "value": self._value,
            "left": self._left,
            "from": self._from,
            "tried": self._tried,
            "unweighted": self._weights == "sum",
            "other": None if self._other is None else self._other.state_dict(),
            "stays": self._stays,
            "own": self._own,
            "rest": self.rest,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            CheckpointError: it is of other parameters.
        """
        self._own = bool(saved["own"])
        if saved["unweighted"]:
            self._weights = "sum"
        if saved["other"] is not None:
            self._other = self._first_order()
            self._other.load_state_dict(saved["other"])
        if saved["kind"] == FirstOrderPart.kind:
            self.part = self._first_order()
        self.part.load_state_dict(saved["part"])
        self.pace.load_state_dict(saved["pace"])
        self._value, self.rest = float(saved["value"]), saved["rest"]
        self._left, self._from = saved["left"], saved["from"]
        self._tried, self._stays = bool(saved["tried"]), bool(saved["stays"])
