"""``auto`` in a timed run: the plain run's profile, then what its plan says, in the plain time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ....auto.controller import Controller
from ....auto.host import LoopHost
from ....auto.residual_part import ResidualPart
from ....auto.stage_pace import StagePace
from ....core.losses import Losses
from ....core.objective import Objective
from ....methods.expression import MethodExpression
from ....optim.optimizer import MultiLossOptimizer
from ....selection.curvature_case import CurvatureCase
from ...problems.objective import Equations
from ...problems.problem import Mode, derivatives_of
from ...problems.row_batches import RowResiduals
from ..budget import Budget
from ..phases import options_of
from . import levenberg_marquardt
from .driver import Ending
from .setup import Setup

DTYPE = torch.float32
MODE: Mode = "taylor"
_LEAST = 50
"""Samples that a verdict takes; the profile of a run is a tenth of it, as runs of a study are short
beside those of users, of which 1000 steps are a tenth or less."""
POOL = 32
"""Times the points of a run, those that steps on residuals draw from."""
SETS = 16
"""Sets of points that first-order steps go around, as SOAP's of other studies do."""
SETTINGS: dict[str, Any] = {
    "optimizer": "adam, then the plan's",
    "schedule": "cosine over the time",
    "dtype": "float32; steps on residuals in float64",
    "pool": POOL,
    "sets": SETS,
    "profile_steps": f"a tenth of the steps, {_LEAST} at least",
    "profile_every": None,
}
"""What the record's settings have in place of the plain run's."""


class EveryCall(StagePace):
    """A step in every call: the run ends with its time, whatever one takes."""

    @property
    def due(self) -> bool:
        """See ``StagePace``."""
        return len(self.taken) + self.firsts < self.calls

    def due_first(self) -> bool:
        """See ``StagePace``."""
        return self.due


class AutoHost(LoopHost):
    """What ``auto`` is told of a timed run.

    Args:
        setup: what is trained.
        seed, budget: of the run.

    Attributes:
        setup: what is trained now: for steps on residuals in float64.
        spent: the time so far, relative to the plain run's.
    """

    def __init__(self, setup: Setup, seed: int, budget: Budget) -> None:
        super().__init__(setup.net, seed, budget.steps)
        self.setup, self.spent = setup, 0.0
        self._first, self._seed_of_points, self._budget = setup, seed, budget
        self._sets: list[Equations] = []

    def curvature(self, optimizer: MultiLossOptimizer) -> CurvatureCase:
        """See ``Host``."""
        case, first = super().curvature(optimizer), self._first
        losses = first.objective().together(residuals=True)
        count = sum(r.numel() for rs in losses.residuals.values() for r, _ in rs)
        return replace(case, residuals=count, measured=first.problem.measured)

    def calls_left(self, completed: int) -> int | None:
        """See ``Host``: those in whose place the rest of the time is."""
        return max(1, round((1 - self.spent) * self._budget.steps))

    def staged(self, begins: bool) -> None:
        """See ``Host``."""
        first = self._first
        dtype = levenberg_marquardt.DTYPE if begins else DTYPE
        first.net.to(dtype)
        for unknown in first.unknowns.values():
            unknown.data = unknown.data.to(dtype)
        self.setup = self._in_float64() if begins else first

    def objective(self, step: int) -> Objective:
        """Of a first-order step, which go around sets of points.

        Args:
            step: its number.
        """
        first = self._first
        if not self._sets:
            self._sets = first.sets(SETS, self._seed_of_points, self._budget)
        return self._sets[step % SETS].at(first.derive, first.unknowns)

    def _in_float64(self) -> Setup:
        first, mode = self._first, levenberg_marquardt.MODE
        pooled = Setup.of(
            first.problem, self._seed_of_points, self._budget, levenberg_marquardt.DTYPE, mode, POOL
        )
        derive = derivatives_of(first.net, mode)
        return replace(
            first, equations=pooled.equations, noted=pooled.noted, mode=mode, derive=derive
        )


class AutoDriver:
    """Adam along the budget's schedule for the profile, then what the plan says.

    Args:
        setup: what is trained, in ``DTYPE`` and ``MODE``.
        method: the expression.
        seed, budget: of the run.
    """

    def __init__(self, setup: Setup, method: MethodExpression, seed: int, budget: Budget) -> None:
        self._budget = budget
        self._host = AutoHost(setup, seed, budget)
        options = options_of(method, budget, seed)
        if method.auto is not None and method.auto.profile_steps is None:
            steps = max(_LEAST, budget.steps // 10)
            options = replace(options, profile_steps=steps, profile_every=None)
        self.controller = Controller("auto", options, self._host)
        self.controller.pace = EveryCall
        self.optimizer = MultiLossOptimizer(
            torch.optim.Adam(setup.parameters, lr=budget.learning_rate),
            self.controller,
            equations=setup.problem.equations,
        )
        self._plain_steps = 0

    @property
    def setup(self) -> Setup:
        """See ``Driver``."""
        return self._host.setup

    def advance(self, spent: float) -> Ending | None:
        """See ``Driver``."""
        self._host.spent = spent
        stage = self.controller.stage
        if stage is None or not stage.by_residuals:
            self._set_rate(spent)
        self._plain_steps += stage is None
        self.optimizer.step(self._closure())
        stage = self.controller.stage
        if stage is None or stage.rest is None:
            return None
        part = stage.part
        done = isinstance(part, ResidualPart) and part.optimizer.converged
        return "converged" if done else "stuck"

    def _set_rate(self, spent: float) -> None:
        """The plain run's in the profile, then the schedule's over the time that is left."""
        step = float(self._plain_steps)
        if self.controller.decided:
            step = max(step, min(1.0, spent) * self._budget.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self._budget.learning_rate * self._budget.rate(step)

    def _closure(self) -> Callable[[], Objective | Losses]:
        setup = self.setup
        stage = self.controller.stage
        if stage is None:
            return setup.objective
        if not stage.by_residuals:
            return partial(self._host.objective, stage.part.steps)
        return RowResiduals(setup.equations, setup.derive, setup.unknowns, POOL)

    @contextmanager
    def best(self) -> Iterator[None]:
        """See ``Driver``: in steps on residuals it is what did best on fresh rows."""
        stage = self.controller.stage
        with self.setup.kept():
            if stage is not None and stage.part.steps:
                self.optimizer.load_best(self._closure())
            yield

    def notes(self) -> dict[str, Any]:
        """See ``Driver``."""
        stage = self.controller.stage
        return {
            "adam_steps": self._plain_steps,
            "steps_on_residuals": 0 if stage is None else len(stage.pace.taken),
            "first_order_steps": 0 if stage is None else stage.pace.firsts,
            "log": self.controller.log,
        }
