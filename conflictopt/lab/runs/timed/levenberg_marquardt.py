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
SETTINGS = {
    "optimizer": "levenberg_marquardt",
    "schedule": None,
    "dtype": "float64",
    "every": EVERY,
}
"""What the record's settings have in place of the plain run's."""

CONVERGED = 1e-26
"""Loss on a step's rows from which its residuals are rounding errors."""
STUCK = 12
"""Steps in a row of which no trial lowered the loss. With eight trials each, damping has grown by a
factor of 1e16 then."""


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
        self._inner = LevenbergMarquardt(setup.parameters, **options)
        self._residuals = RowResiduals(setup.equations, setup.derive, setup.unknowns)
        self.optimizer = MultiLossOptimizer(
            self._inner,
            method.without_optimizer.method(),
            equations=setup.problem.equations,
            every=EVERY,
            seed=seed,
        )
        self._trials = self._refused = self._in_a_row = 0

    def advance(self, spent: float) -> Ending | None:
        """See ``Driver``."""
        self.optimizer.step(self._residuals)
        last = self._inner.last
        assert last is not None
        self._trials += last.trials
        self._refused += not last.taken
        self._in_a_row = 0 if last.taken else self._in_a_row + 1
        if last.after <= CONVERGED:
            return "converged"
        return "stuck" if self._in_a_row >= STUCK else None

    def notes(self) -> dict[str, Any]:
        """See ``Driver``: rows and damping of the last step, trials and refused steps of all."""
        last, engine = self._inner.last, self._inner._jacobian
        return {
            "rows": last.rows if last else None,
            "damping": last.damping if last else None,
            "trials": self._trials,
            "refused": self._refused,
            "notes": list(engine.notes) if engine else [],
        }
