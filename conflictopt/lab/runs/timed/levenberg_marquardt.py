"""How Levenberg-Marquardt is driven in a timed run."""

from __future__ import annotations

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
POOL = 32
"""Times the points of a run, of which each step has others: few points fit to rounding say nothing
of the solution between them."""
SETTINGS: dict[str, Any] = {
    "optimizer": "levenberg_marquardt",
    "schedule": None,
    "dtype": "float64",
    "every": EVERY,
    "pool": POOL,
}
"""What the record's settings have in place of the plain run's."""


class LevenbergMarquardtDriver:
    """Steps on the residuals of all losses, in float64.

    Args:
        setup: what is trained, in ``DTYPE`` and ``MODE``.
        method: the expression.
        seed, budget: of the run.
    """

    def __init__(self, setup: Setup, method: MethodExpression, seed: int, budget: Budget) -> None:
        assert method.optimizer is not None
        options = dict(method.optimizer.options)
        options["seed"] += seed
        options["measured"] = setup.problem.measured
        self._inner = LevenbergMarquardt(setup.parameters, **options)
        self._residuals = RowResiduals(setup.equations, setup.derive, setup.unknowns, POOL)
        self.optimizer = MultiLossOptimizer(
            self._inner,
            method.without_optimizer.method(),
            equations=setup.problem.equations,
            every=EVERY,
            seed=seed,
        )
        self._trials = self._refused = 0

    def advance(self, spent: float) -> Ending | None:
        """See ``Driver``."""
        self.optimizer.step(self._residuals)
        last = self._inner.last
        assert last is not None
        self._trials += last.trials
        self._refused += not last.taken
        if self._inner.converged:
            return "converged"
        return "stuck" if self._inner.stuck else None

    def notes(self) -> dict[str, Any]:
        """See ``Driver``: rows and damping of the last step, trials and refused steps of all."""
        last = self._inner.last
        return {
            "rows": last.rows if last else None,
            "damping": last.damping if last else None,
            "trials": self._trials,
            "refused": self._refused,
            "notes": self._inner.notes,
        }
