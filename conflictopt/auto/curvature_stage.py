"""The part of a run of ``auto`` whose steps are made of residuals."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.errors import CheckpointError
from ..curvature.optimizer import LevenbergMarquardt
from ..optim.optimizer import MultiLossOptimizer
from ..optim.session import LossForms
from .stage_pace import StagePace

LEAST_STEPS = 50
"""With fewer in its time, a first-order optimizer does better (docs/curvature.md)."""
WEIGHTS_HOLD = 20
"""Steps for which the weights of a reweighting hold."""
_TIMED = 3
"""Steps after which the cost of one is known: the first finds out how rows are differentiated."""
_IMPROVED = 0.5
"""Of the loss where the stage began: ended above it, it did not help."""


class CurvatureStage:
    """Steps on residuals where a loop expects those of its own optimizer.

    The loop goes on as it is, and its optimizer keeps its state; most of its calls do nothing, as a
    step on residuals takes as long as many plain ones. Whatever ends the stage early, the
    parameters are never worse by its own judgement than where it began: those that did best on
    fresh rows, or those from before it.

    Args:
        optimizer: of the loop, whose parameters are trained.
        method: weights the losses; a reweighting of whole losses, or ``"sum"``.
        pace: says when steps are taken.
        measured: names of losses that hold noisy measurements.
        seed: of the rows.

    Attributes:
        run: takes the steps.
        pace: says when.
        failure: why the run has to go on without it, a clause: nothing of it is left.
        rest: why no further step is taken, a clause: what it found stays.
    """

    def __init__(
        self,
        optimizer: MultiLossOptimizer,
        method: Any,
        pace: StagePace,
        measured: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.pace, self._seed = pace, seed
        self.failure: str | None = None
        self.rest: str | None = None
        self._ended = time.perf_counter()
        self._value = self._first = float("nan")
        self._make(optimizer, method, tuple(measured))
        self._before: dict[Tensor, Tensor] = {p: p.detach().clone() for p in self._params}

    def _make(self, optimizer: MultiLossOptimizer, method: Any, measured: tuple[str, ...]) -> None:
        self._params = [p for g in optimizer.param_groups for p in g["params"]]
        session = optimizer.session
        self.run = MultiLossOptimizer(
            LevenbergMarquardt(self._params, measured=measured, seed=self._seed),
            method,
            names=session.names,
            equations=session.equations,
            blocks=optimizer.blocks,
            seed=self._seed,
            every=WEIGHTS_HOLD,
        )
        self.run.session.reports = session.reports

    @property
    def optimizer(self) -> LevenbergMarquardt:
        """What takes the steps."""
        assert isinstance(self.run.inner, LevenbergMarquardt)
        return self.run.inner

    def follow(self, optimizer: MultiLossOptimizer) -> None:
        """The loop has another optimizer; with other parameters, steps begin anew."""
        params = [p for g in optimizer.param_groups for p in g["params"]]
        if list(map(id, params)) != list(map(id, self._params)):
            self._make(optimizer, self.run.aggregator, self.optimizer.options.measured)
            self.rest = None
        self._before = {p: p.detach().clone() for p in self._params}
        self._ended = time.perf_counter()

    def call(self, closure: Callable[[], LossForms], left: int | None) -> float:
        """The loop calls ``step``.

        Args:
            closure: returns the losses with their residuals.
            left: calls that follow before the training ends, or pauses; ``None`` if nobody knows.

        Returns:
            The loss before the last step, on its rows.
        """
        self.pace.call(time.perf_counter() - self._ended)
        while self.pace.due and self.rest is None and self.failure is None:
            self._step(closure, left)
        if left == 0 and self.rest is None and self.failure is None:
            self.load_best(closure)
        self._ended = time.perf_counter()
        return self._value

    def _step(self, closure: Callable[[], LossForms], left: int | None) -> None:
        began = time.perf_counter()
        try:
            self._value = float(self.run.step(closure))
        except Exception as error:  # of linear algebra, memory, the user's functions
            self._end(closure, f"{type(error).__name__}: {error}")
            return
        finally:
            self.pace.took(time.perf_counter() - began)
        steps = len(self.pace.taken)
        if math.isnan(self._first):
            self._first = self._value
        if self.optimizer.stuck:
            self._end(closure, "steps have led nowhere for long")
        elif self.optimizer.converged:
            self._end(closure, "the residuals are rounding errors")
        elif steps == _TIMED and left is not None and self.pace.too_few(left, LEAST_STEPS):
            fit = self.pace.fitting(left)
            self.pace.give_up()
            self._fail(f"{fit:.0f} fit into the time that is left, {LEAST_STEPS} would do")

    def _end(self, closure: Callable[[], LossForms], why: str) -> None:
        """Take no further step: with what was found, or, if that is nothing, without."""
        last = self.optimizer.last
        if last is not None and last.after < _IMPROVED * self._first:
            self.rest = why
            self.load_best(closure)
        else:
            self._fail(why)

    @torch.no_grad()
    def _fail(self, why: str) -> None:
        for p, before in self._before.items():
            p.copy_(before)
        self.failure = why

    def load_best(self, closure: Callable[[], LossForms]) -> None:
        """Give the parameters the values that did best on fresh rows."""
        try:
            self.run.load_best(closure)
        except Exception as error:  # as in a step
            self.rest = self.rest or f"{type(error).__name__}: {error}"

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings that ``load_state_dict`` goes on from."""
        return {
            "run": self.run.state_dict(),
            "pace": self.pace.state_dict(),
            "measured": list(self.optimizer.options.measured),
            "before": [self._before[p] for p in self._params],
            "first": self._first,
            "value": self._value,
            "rest": self.rest,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            CheckpointError: it is of other parameters.
        """
        shapes = [tuple(p.shape) for p in self._params]
        found = [tuple(value.shape) for value in saved["before"]]
        if shapes != found:
            raise CheckpointError(
                f"expected steps on residuals of parameters {shapes}, found {found}."
            )
        self.run.load_state_dict(saved["run"])
        self.pace.load_state_dict(saved["pace"])
        pairs = zip(self._params, saved["before"], strict=True)
        self._before = {p: value.to(p).clone() for p, value in pairs}
        self._first, self._value = float(saved["first"]), float(saved["value"])
        self.rest = saved["rest"]
