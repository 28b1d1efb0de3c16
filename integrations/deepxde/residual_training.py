"""Calls of ``train`` whose steps are made of residuals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from conflictopt.core.objective import Objective
from conflictopt.optim.compatibility import reads_residuals
from conflictopt.optim.optimizer import MultiLossOptimizer

from .budget import Budget
from .hook import Batch, Hook, TrainCall
from .pace import ENDLESS, Pace
from .plain_cost import iteration_seconds

WARM = 0.25
"""Of the first call's seconds, those in which the optimizer that the model was compiled with goes
before: from random weights a curvature step may fall into a bad minimum that Adam avoids, or lead
nowhere where residuals are far from linear."""


class ResidualTraining:
    """Takes the steps of a model whose optimizer reads residuals, and says when they end.

    Without a budget a call takes as many steps as it asks for, one for L-BFGS, which counts
    otherwise, as many as its ``maxiter``; in any case until residuals are rounding errors, or steps
    have led nowhere for long. At its end the model has the parameters that did best on fresh rows.

    Args:
        hook: of the model.
        tell: is told what was found out, a sentence each.

    Attributes:
        budget: of the calls' seconds.
    """

    def __init__(self, hook: Hook, tell: Callable[[str], None]) -> None:
        self.budget: Budget | None = None
        self._hook, self._tell = hook, tell
        self._asked: TrainCall | None = None
        self._pace: Pace | None = None
        self._closure: Callable[[], Objective] | None = None
        self._refused = 0
        self._notes: list[str] = []

    def begin(self, call: TrainCall) -> Pace | None:
        """A call begins; how long it goes on, if not as it asks."""
        self._asked, self._pace, self._refused = call, None, 0
        if not call.iterations:
            return None
        steps = None if self.budget is not None else call.iterations
        self._pace = Pace(call.display, steps, call.iterations / call.display_every)
        if self.budget is not None:
            self._pace.seconds = self.budget.share()
        return self._pace

    def step(
        self,
        optimizer: MultiLossOptimizer,
        closure: Callable[[], Objective],
        batch: Batch,
    ) -> None:
        """Take a step.

        Args:
            optimizer, closure, batch: of the model.
        """
        pace = self._pace
        if pace is not None and pace.iterations == ENDLESS and pace.seconds is None:
            pace.seconds = self._cost(batch, type(optimizer.inner).__name__)
        began, skipped, self._closure = time.perf_counter(), optimizer.skipped, closure
        if (
            pace is not None
            and pace.seconds is not None
            and not (pace.steps or optimizer.session.completed)
        ):
            self._warm_up(batch, WARM * pace.seconds)
        optimizer.step(closure)
        last: Any = optimizer.inner.last  # type: ignore[attr-defined]
        taken = optimizer.skipped == skipped and last.taken
        self._refused += not taken
        if pace is not None:
            inner: Any = optimizer.inner
            pace.stepped(time.perf_counter() - began, inner.converged or inner.stuck)
            if pace.ended:  # before DeepXDE evaluates the model for the last time
                optimizer.load_best(closure)
                self._closure = None

    def end(self, optimizer: MultiLossOptimizer) -> None:
        """The call is over."""
        pace, self._pace = self._pace, None
        inner: Any = optimizer.inner
        last = inner.last if reads_residuals(inner) else None
        if pace is None or last is None or not pace.steps:
            return
        if self._closure is not None:  # a callback ended it
            optimizer.load_best(self._closure)
            self._closure = None
        if self.budget is not None:
            self.budget.spend(pace.spent)
        of = f" of {pace.seconds:.3g}" if pace.seconds is not None else ""
        self._tell(
            f"{pace.steps} steps of {type(inner).__name__} in {pace.spent:.3g} s{of}"
            f"{_ending(inner)}: {last.rows} residuals in a step, damping {last.damping:.1e} at the "
            f"end, {self._refused} steps refused."
        )
        for found in inner.notes:
            if found not in self._notes:
                self._tell(f"{found.rstrip('.')}.")
        self._notes = inner.notes

    def _warm_up(self, batch: Batch, seconds: float) -> None:
        """Steps of the optimizer that the model was compiled with, unless it searches lines."""
        assert self._asked is not None
        if not self._asked.counted or reads_residuals(self._hook.optimizer):
            return
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            self._hook.plain_step(batch)
            steps += 1
        self._tell(f"{steps} steps of {self._hook.compiled_with} first, in {seconds:.3g} s.")

    def _cost(self, batch: Batch, name: str) -> float:
        """Seconds that the iterations asked for would take without a replacement."""
        asked = self._asked
        assert asked is not None and asked.iterations is not None
        each = iteration_seconds(self._hook, batch)
        most = "" if asked.counted else "at most "
        self._tell(
            f"{most}{asked.iterations} iterations of {self._hook.compiled_with} would take "
            f"{most}{each * asked.iterations:.3g} s, {1e3 * each:.3g} ms each: {name} has as long."
        )
        return each * asked.iterations


def _ending(inner: Any) -> str:
    """Why steps ended before their time, if they did."""
    if inner.converged:
        return ", when the residuals were rounding errors"
    if inner.stuck:
        return ", when steps had led nowhere for long (another optimizer may go on)"
    return ""
