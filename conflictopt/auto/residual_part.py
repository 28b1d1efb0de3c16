"""Steps on residuals as a part of a run of ``auto``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..core.errors import CheckpointError, ConflictOptError
from ..curvature.optimizer import LevenbergMarquardt
from ..optim import run_checkpoint
from ..optim.last_step import LastStep
from ..optim.optimizer import MultiLossOptimizer
from .closures import Closure, made
from .measurements import Measurements

WEIGHTS_HOLD = 20
"""Steps for which the weights of a reweighting hold."""
_IMPROVED, _RISEN = 0.5, 2.0
"""Of the loss that steps lower, where the part began: ended above it, it did not help; nor did it
if the sum of the losses, in which measurements have their full weight, has risen so far."""
EARLY, _CLIMBED = 20, 30.0
"""Steps after which a damping, the median of the last half, of so many times the first says that
residuals are far from linear over any step that would come somewhere."""


class ResidualPart:
    """Levenberg-Marquardt on the parameters of a loop's optimizer, which keeps its state.

    Args:
        optimizer: of the loop, whose parameters are trained.
        method: weights the losses; a reweighting of whole losses, or ``"sum"``.
        measured: which losses hold noisy measurements, and whether only their noise is left.
        seed: of the rows.

    Attributes:
        run: takes the steps.
        measurements: those.
        helped: whether it has improved on where it began.
        steps: taken so far.
    """

    kind = "residuals"

    def __init__(
        self, optimizer: MultiLossOptimizer, method: Any, measured: Measurements, seed: int
    ) -> None:
        self._seed, self.steps, self.helped = seed, 0, False
        self._first, self._sum = math.nan, sum_of(optimizer.session.last)
        self._dampings: list[float] = []
        self.measurements = measured
        self._make(optimizer, method)
        self._before: dict[Tensor, Tensor] = {p: p.detach().clone() for p in self.params}

    def _make(self, optimizer: MultiLossOptimizer, method: Any) -> None:
        self.params = parameters(optimizer)
        # measurements that are not fitted yet keep the loss up, and are what steps are for
        fresh = not self.measurements.names
        inner = LevenbergMarquardt(
            self.params, fresh_damping=fresh, seed=self._seed, alone=optimizer.session.alone
        )
        self.run = run_in_place_of(optimizer, inner, method, self._seed, WEIGHTS_HOLD)

    @property
    def optimizer(self) -> LevenbergMarquardt:
        """What takes the steps."""
        assert isinstance(self.run.inner, LevenbergMarquardt)
        return self.run.inner

    def follow(self, optimizer: MultiLossOptimizer) -> None:
        """The loop has another optimizer; with other parameters, steps begin anew."""
        if list(map(id, parameters(optimizer))) != list(map(id, self.params)):
            self._make(optimizer, self.run.aggregator)
        self._before = {p: p.detach().clone() for p in self.params}

    def step(self, closure: Closure, last: bool) -> float | None:
        """Take one.

        Args:
            closure: returns the losses with their residuals.
            last: see ``FirstOrderPart``; the best are kept anyway.

        Returns:
            The loss before it, on its rows; ``None`` if it was skipped.

        Raises:
            Exception: of the closure, or of the step; the parameters are those before it.
        """
        found = self.run.step(made(closure))
        self.steps += 1
        if found is None:
            return None
        self._judge(float(found))
        self.measurements.saw(self.run.last)
        self._weigh_measurements()
        return float(found)

    def _weigh_measurements(self) -> None:
        """Let them have less weight, once only their noise can be left."""
        options, measured = self.optimizer.options, self.measurements
        names = measured.names if measured.at_rest else ()
        if options.measured != names:
            self.optimizer.options = replace(options, measured=names)

    def _judge(self, value: float) -> None:
        """Whether it has helped by now."""
        last = self.optimizer.last
        assert last is not None
        if len(self._dampings) < EARLY:
            self._dampings.append(last.damping)
        if math.isnan(self._first):
            self._first = value
        lower = last.after < _IMPROVED * self._first
        self.helped |= lower and not sum_of(self.run.last) > _RISEN * self._sum

    @property
    def short_steps(self) -> str | None:
        """Whether its steps had to become short, a clause."""
        dampings = self._dampings[-EARLY // 2 :]
        climb = statistics.median(dampings) / self._dampings[0] if dampings else 0.0
        found = climb > _CLIMBED
        return f"their damping has become {climb:.0f} times the first" if found else None

    @torch.no_grad()
    def undo(self) -> None:
        """Give the parameters the values that they had where it began."""
        for p, before in self._before.items():
            p.copy_(before)

    def load_best(self, closure: Closure) -> None:
        """Give them those that did best on fresh rows.

        Raises:
            ConflictOptError: of losses that cannot be evaluated.
        """
        self.run.load_best(made(closure))

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings that ``load_state_dict`` goes on from."""
        return {
            "run": run_checkpoint.save(self.run, whole=False),
            "before": [self._before[p] for p in self.params],
            "first": self._first,
            "sum": self._sum,
            "dampings": list(self._dampings),
            "helped": self.helped,
            "steps": self.steps,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            CheckpointError: it is of other parameters.
        """
        shapes = [tuple(p.shape) for p in self.params]
        found = [tuple(value.shape) for value in saved["before"]]
        if shapes != found:
            raise CheckpointError(
                f"expected steps on residuals of parameters {shapes}, found {found}."
            )
        run_checkpoint.load(self.run, saved["run"], whole=False)
        self._weigh_measurements()
        pairs = zip(self.params, saved["before"], strict=True)
        self._before = {p: value.to(p).clone() for p, value in pairs}
        self._first, self._sum = float(saved["first"]), float(saved["sum"])
        self._dampings = [float(value) for value in saved["dampings"]]
        self.helped, self.steps = bool(saved["helped"]), int(saved["steps"])


def run_in_place_of(
    optimizer: MultiLossOptimizer,
    inner: torch.optim.Optimizer,
    method: Any,
    seed: int,
    every: int,
) -> MultiLossOptimizer:
    """A run on a loop's losses beside the loop's own, whose reports it shares.

    Args:
        optimizer: of the loop.
        inner: takes the steps.
        method: weights the losses.
        seed: of the method.
        every: steps for which weights hold.
    """
    session = optimizer.session
    run = MultiLossOptimizer(
        inner,
        method,
        names=session.names,
        equations=session.equations,
        blocks=optimizer.blocks,
        seed=seed,
        engine=session.engine,
        every=every,
        on_nonfinite=optimizer.on_nonfinite,
        alone=session.alone,
    )
    run.skipped, run.session.reports = optimizer.skipped, session.reports
    return run


def is_ours(error: Exception) -> bool:
    """Whether an error is of the steps, and not of what the closure does."""
    return isinstance(error, ConflictOptError | torch.OutOfMemoryError)


def parameters(optimizer: MultiLossOptimizer) -> list[Tensor]:
    """All that an optimizer has."""
    return [p for g in optimizer.param_groups for p in g["params"]]


def sum_of(last: LastStep | None) -> float:
    """Of the losses of a step, as they came."""
    return math.nan if last is None else float(sum(last.values))
