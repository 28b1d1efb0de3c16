"""The habit of most users: Adam first, then L-BFGS."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ....methods.expression import MethodExpression
from ....optim.optimizer import MultiLossOptimizer
from ...problems.problem import Mode
from ..budget import Budget
from .driver import Ending
from .setup import Setup

DTYPE = torch.float32
MODE: Mode = "taylor"
EVERY = 20
"""Steps of L-BFGS, of ``ITERATIONS`` each, for which the weights of a reweighting hold: its memory
of curvature starts anew whenever they change."""
ITERATIONS, EVALUATIONS, HISTORY = 10, 25, 100
"""Of a step, at most; and iterations whose curvature is remembered."""
STALLED = 5
"""Steps in a row after which L-BFGS that finds the same loss each time will find no other."""
SETTINGS = {
    "optimizer": "adam, then lbfgs",
    "schedule": "cosine, then none",
    "dtype": "float32",
    "every": EVERY,
}
"""What the record's settings have in place of the plain run's."""


class AdamThenLBFGS:
    """Adam along the budget's schedule, then L-BFGS with a strong Wolfe search.

    L-BFGS takes its share of the plain run's time. Of a longer run it takes all that is added, so
    that the run is up to T the one that ends there.

    Args:
        setup: what is trained, in ``DTYPE`` and ``MODE``.
        method: the expression.
        seed, budget: of the run.
    """

    def __init__(self, setup: Setup, method: MethodExpression, seed: int, budget: Budget) -> None:
        chosen = method.optimizer
        assert chosen is not None
        self._setup, self._budget = setup, budget
        self._until = (1 - chosen.options["share"]) * min(1.0, chosen.horizon)
        self._iterated: torch.optim.LBFGS | None = None
        self.optimizer = MultiLossOptimizer(
            torch.optim.Adam(setup.parameters, lr=budget.learning_rate),
            method.without_optimizer.method(),
            equations=setup.problem.equations,
            seed=seed,
        )
        self._adam_steps = self._same = 0
        self._value: float | None = None

    @property
    def setup(self) -> Setup:
        """See ``Driver``."""
        return self._setup

    def advance(self, spent: float) -> Ending | None:
        """See ``Driver``."""
        if spent < self._until and self._iterated is None:
            self._adam_step(spent / self._until)
            return None
        if self._iterated is None:
            self._go_on()
        value = float(self.optimizer.step(self._setup.objective))
        self._same = self._same + 1 if value == self._value else 0
        self._value = value
        return "stuck" if self._same >= STALLED else None

    def _adam_step(self, part: float) -> None:
        rate = self._budget.learning_rate * self._budget.rate(part * self._budget.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step(self._setup.objective())
        self._adam_steps += 1

    def _go_on(self) -> None:
        """With L-BFGS; the method keeps its state."""
        self._iterated = torch.optim.LBFGS(
            self._setup.parameters,
            lr=1,
            max_iter=ITERATIONS,
            max_eval=EVALUATIONS,
            history_size=HISTORY,
            # the time decides how long it goes on
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )
        self.optimizer = self.optimizer.rewrap(self._iterated)
        self.optimizer.session.every = EVERY

    def best(self) -> AbstractContextManager[None]:
        """See ``Driver``: it is where the last step ended."""
        return nullcontext()

    def notes(self) -> dict[str, Any]:
        """See ``Driver``: steps of Adam, iterations and evaluations of L-BFGS."""
        state: dict[str, Any] = {}
        if self._iterated is not None:
            state = self._iterated.state[self._setup.parameters[0]]
        return {
            "adam_steps": self._adam_steps,
            "iterations": state.get("n_iter", 0),
            "evaluations": state.get("func_evals", 0),
        }
