"""The part of a run of ``auto`` whose steps are made of residuals."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..core.errors import CheckpointError, ConflictOptError, ConflictOptWarning
from ..curvature.optimizer import LevenbergMarquardt
from ..optim.last_step import LastStep
from ..optim.optimizer import MultiLossOptimizer
from ..optim.session import LossForms
from .measurements import Measurements
from .stage_pace import StagePace

LEAST_STEPS = 50
"""With fewer in its time, a first-order optimizer does better (docs/curvature.md)."""
WEIGHTS_HOLD = 20
"""Steps for which the weights of a reweighting hold."""
_TIMED = 3
"""Steps after which the cost of one is known: the first finds out how rows are differentiated."""
_IMPROVED, _RISEN = 0.5, 2.0
"""Of the loss that steps lower, where the stage began: ended above it, it did not help; nor did it
if the sum of the losses, in which measurements have their full weight, has risen so far."""
_AGAIN = 100
"""Steps in whose time steps that led nowhere are tried again: points, weights or coefficients may
have changed."""

Closure = Callable[[], LossForms]


class Deferred:
    """A closure that is made once it is wanted: that takes its time, and may fail.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], Closure]) -> None:
        self.make = make

    def __call__(self) -> LossForms:
        return self.make()()


def _made(closure: Closure) -> Closure:
    return closure.make() if isinstance(closure, Deferred) else closure


class CurvatureStage:
    """Steps on residuals where a loop expects those of its own optimizer.

    The loop goes on as it is, and its optimizer keeps its state; most of its calls do nothing, as a
    step on residuals takes as long as many plain ones.

    Args:
        optimizer: of the loop, whose parameters are trained.
        method: weights the losses; a reweighting of whole losses, or ``"sum"``.
        pace: says when steps are taken.
        measured: names of losses that hold noisy measurements.
        seed: of the rows.

    Attributes:
        run: takes the steps.
        pace: says when.
        measurements: which losses hold some, and whether only their noise is left.
        failure: why the run has to go on without it, a clause.
        rest: why no step is taken for some time, a clause: what was found stays.
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
        self._first, self._sum = math.nan, _sum(optimizer.session.last)
        self._value = self._sum
        self._helped = False
        self._left: int | None = None
        self.measurements = Measurements(measured)
        self._make(optimizer, method)
        self._before: dict[Tensor, Tensor] = {p: p.detach().clone() for p in self._params}

    def _make(self, optimizer: MultiLossOptimizer, method: Any) -> None:
        self._params = _parameters(optimizer)
        session = optimizer.session
        self.run = MultiLossOptimizer(
            LevenbergMarquardt(
                self._params,
                # measurements that are not fitted yet keep the loss up, and are what steps are for
                fresh_damping=not self.measurements.names,
                seed=self._seed,
            ),
            method,
            names=session.names,
            equations=session.equations,
            blocks=optimizer.blocks,
            seed=self._seed,
            engine=session.engine,
            every=WEIGHTS_HOLD,
            on_nonfinite=optimizer.on_nonfinite,
        )
        self.run.skipped = optimizer.skipped
        self.run.session.reports = session.reports

    @property
    def optimizer(self) -> LevenbergMarquardt:
        """What takes the steps."""
        assert isinstance(self.run.inner, LevenbergMarquardt)
        return self.run.inner

    def fits(self, optimizer: MultiLossOptimizer) -> bool:
        """Whether it trains the parameters that the loop's optimizer has."""
        return list(map(id, _parameters(optimizer))) == list(map(id, self._params))

    def follow(self, optimizer: MultiLossOptimizer) -> None:
        """The loop has another optimizer; with other parameters, steps begin anew."""
        if not self.fits(optimizer):
            self._make(optimizer, self.run.aggregator)
        self._before = {p: p.detach().clone() for p in self._params}
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
        if None not in (left, self._left) and left > self._left:  # type: ignore[operator]
            self.rest = None  # a new call of train
        self._left = left
        self.pace.call()
        if self.rest is not None and self.pace.waited(_AGAIN):
            self.rest = None
        while self.pace.due and self.rest is None and self.failure is None:
            self._step(closure, left)
        if left == 0 and self.rest is None and self.failure is None:
            self._end_call(closure)
        like = self._params[0]
        return torch.tensor(self._value, dtype=like.dtype, device=like.device)

    def _step(self, closure: Closure, left: int | None) -> None:
        began = time.perf_counter()
        try:
            value = self.run.step(_made(closure))
        except BaseException as error:
            if not isinstance(error, Exception) or (self._helped and not _ours(error)):
                self.pace.calls -= 1  # the loop's call was not completed
                raise
            # of linear algebra, of memory, or, on rows that are new to them, the user's functions
            self.pace.took(time.perf_counter() - began)
            self._fail(error)
            return
        self.pace.took(time.perf_counter() - began)
        if value is None:  # skipped
            return
        self._judge(float(value))
        self._weigh_measurements()
        steps = len(self.pace.taken)
        if self.optimizer.stuck:
            self._end(closure, "steps have led nowhere for long")
        elif self.optimizer.converged:
            self._end(closure, "the residuals are rounding errors")
        elif steps == _TIMED and left is not None and self.pace.too_few(left, LEAST_STEPS):
            fit = self.pace.fitting(left)
            self.pace.give_up()
            self._undo(f"{fit:.0f} fit into the time that is left, {LEAST_STEPS} would do")

    def _weigh_measurements(self) -> None:
        """Let them have less weight, once only their noise can be left."""
        self.measurements.saw(self.run.last)
        options, measured = self.optimizer.options, self.measurements
        if measured.at_rest and options.measured != measured.names:
            self.optimizer.options = replace(options, measured=measured.names)

    def _judge(self, value: float) -> None:
        """Whether the stage has helped by now."""
        last = self.optimizer.last
        assert last is not None
        self._value = value
        if math.isnan(self._first):
            self._first = value
        lower = last.after < _IMPROVED * self._first
        self._helped |= lower and not _sum(self.run.last) > _RISEN * self._sum

    def _end(self, closure: Closure, why: str) -> None:
        """Take no step for some time; or none at all, if those so far did not help."""
        if not self._helped:
            self._undo(why)
            return
        self.rest = why
        self.pace.rest()
        self._end_call(closure)
        self.optimizer.forget_refused()

    def _fail(self, error: Exception) -> None:
        """A step failed; the parameters are those before it."""
        why = f"{type(error).__name__}: {error}"
        warnings.warn(f"no steps on residuals: {why}", ConflictOptWarning, stacklevel=2)
        if self._helped:
            self.failure = why
        else:
            self._undo(why)

    @torch.no_grad()
    def _undo(self, why: str) -> None:
        for p, before in self._before.items():
            p.copy_(before)
        self.failure = why

    def _end_call(self, closure: Closure) -> None:
        """Give the parameters the values that did best on fresh rows."""
        began = time.perf_counter()
        try:
            self.run.load_best(_made(closure))
        except ConflictOptError as error:
            self.rest = self.rest or f"{type(error).__name__}: {error}"
        self.pace.spent += time.perf_counter() - began

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings that ``load_state_dict`` goes on from."""
        return {
            "run": self.run.state_dict(),
            "pace": self.pace.state_dict(),
            "measured": self.measurements.state_dict(),
            "before": [self._before[p] for p in self._params],
            "first": self._first,
            "sum": self._sum,
            "value": self._value,
            "helped": self._helped,
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
        self.measurements.load_state_dict(saved["measured"])
        if self.measurements.at_rest:
            names = self.measurements.names
            self.optimizer.options = replace(self.optimizer.options, measured=names)
        pairs = zip(self._params, saved["before"], strict=True)
        self._before = {p: value.to(p).clone() for p, value in pairs}
        self._first, self._sum = float(saved["first"]), float(saved["sum"])
        self._value, self._helped = float(saved["value"]), bool(saved["helped"])
        self.rest = saved["rest"]


def _ours(error: Exception) -> bool:
    """Whether it is of the steps, and not of what the closure does."""
    return isinstance(error, ConflictOptError | torch.OutOfMemoryError)


def _parameters(optimizer: MultiLossOptimizer) -> list[Tensor]:
    return [p for g in optimizer.param_groups for p in g["params"]]


def _sum(last: LastStep | None) -> float:
    """Of the losses of a step, as they came."""
    return math.nan if last is None else float(sum(last.values))
