"""How Levenberg-Marquardt is driven in a timed run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ....curvature.optimizer import LevenbergMarquardt
from ....methods.expression import MethodExpression
from ....optim.optimizer import MultiLossOptimizer
from ...problems.problem import Mode
from ...problems.row_batches import RowResiduals
from ..budget import Budget
from .driver import Ending
from .setup import Setup

DTYPE = torch.float64
MODE: Mode = "taylor_apart"
EVERY = 20
"""Steps for which the weights of a reweighting hold."""
WARM_RATE = 0.1
"""Adam's rate at the end of its part, relative to the budget's first."""
SETTINGS: dict[str, Any] = {
    "optimizer": "levenberg_marquardt",
    "schedule": None,
    "dtype": "float64",
    "every": EVERY,
}
"""What the record's settings have in place of the plain run's."""


class LevenbergMarquardtDriver:
    """Steps on the residuals of all losses, in float64; before them Adam, where that is asked for.

    Args:
        setup: what is trained, in ``DTYPE`` and ``MODE``.
        method: the expression.
        seed, budget: of the run.
    """

    def __init__(self, setup: Setup, method: MethodExpression, seed: int, budget: Budget) -> None:
        chosen = method.optimizer
        assert chosen is not None
        self._setup, self._budget = setup, budget
        self._warm, pool = chosen.study["warm"], chosen.study["pool"]
        options = {**chosen.options, "seed": chosen.options["seed"] + seed}
        options["measured"] = setup.problem.measured
        self._inner = LevenbergMarquardt(setup.parameters, **options)
        self._residuals = RowResiduals(setup.equations, setup.derive, setup.unknowns, pool)
        adam = torch.optim.Adam(setup.parameters, lr=budget.learning_rate)
        self.optimizer = MultiLossOptimizer(
            adam if self._warm else self._inner,
            method.without_optimizer.method(),
            equations=setup.problem.equations,
            seed=seed,
        )
        self.optimizer.session.every = 1 if self._warm else EVERY
        self._adam_steps = self._trials = self._refused = 0

    @property
    def setup(self) -> Setup:
        """See ``Driver``."""
        return self._setup

    def advance(self, spent: float) -> Ending | None:
        """See ``Driver``."""
        if spent < self._warm:
            self._adam_step(spent / self._warm)
            return None
        if self.optimizer.inner is not self._inner:
            self.optimizer = self.optimizer.rewrap(self._inner)
            self.optimizer.session.every = EVERY
        self.optimizer.step(self._residuals)
        last = self._inner.last
        assert last is not None
        self._trials += last.trials
        self._refused += not last.taken
        if self._inner.converged:
            return "converged"
        return "stuck" if self._inner.stuck else None

    def _adam_step(self, part: float) -> None:
        """On the run's points, along a cosine of its own."""
        rate = WARM_RATE + (1 - WARM_RATE) * 0.5 * (1 + math.cos(math.pi * part))
        for group in self.optimizer.param_groups:
            group["lr"] = self._budget.learning_rate * rate
        self.optimizer.step(self._setup.noted.at(self._setup.derive, self._setup.unknowns))
        self._adam_steps += 1

    @contextmanager
    def best(self) -> Iterator[None]:
        """See ``Driver``: it is what did best on fresh rows."""
        with self._setup.kept():
            if self.optimizer.inner is self._inner:
                self.optimizer.load_best(self._residuals)
            yield

    def notes(self) -> dict[str, Any]:
        """See ``Driver``: rows and damping of the last step, trials and refused steps of all."""
        last = self._inner.last
        return {
            "adam_steps": self._adam_steps,
            "rows": last.rows if last else None,
            "damping": last.damping if last else None,
            "trials": self._trials,
            "refused": self._refused,
            "notes": self._inner.notes,
        }
