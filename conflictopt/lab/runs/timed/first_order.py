"""Timed runs of optimizers that step by gradients: how far they come in the plain run's time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ....methods.expression import MethodExpression
from ....optim.optimizer import MultiLossOptimizer
from ....optim.soap import soap
from ...problems.problem import Mode
from ..budget import Budget
from .driver import Ending
from .setup import Setup

DTYPE = torch.float32
MODE: Mode = "taylor"

Make = Callable[..., torch.optim.Optimizer]
"""An optimizer of parameters, with a learning rate and the other options of the expression."""


def settings(optimizer: str) -> dict[str, Any]:
    """What the record's settings have in place of the plain run's."""
    return {"optimizer": optimizer, "schedule": "cosine over the time", "dtype": "float32"}


def adam(params: Sequence[Tensor], rate: float) -> torch.optim.Optimizer:
    """Adam, as in the plain run."""
    return torch.optim.Adam(params, lr=rate)


def soap_of(params: Sequence[Tensor], rate: float, refresh: int) -> torch.optim.Optimizer:
    """SOAP.

    Raises:
        MissingExtraError: pytorch_optimizer is not there.
    """
    return soap(params, refresh, lr=rate)


class FirstOrder:
    """One optimizer throughout, its rate along the budget's schedule stretched over the time.

    Args:
        make: the optimizer.
        setup: what is trained, in ``DTYPE`` and ``MODE``.
        method: the expression.
        seed, budget: of the run.
    """

    def __init__(
        self, make: Make, setup: Setup, method: MethodExpression, seed: int, budget: Budget
    ) -> None:
        chosen = method.optimizer
        assert chosen is not None
        self._setup, self._budget, self._horizon = setup, budget, chosen.horizon
        options = dict(chosen.options)
        self._rate = options.pop("rate") * budget.learning_rate
        self.optimizer = MultiLossOptimizer(
            make(setup.parameters, self._rate, **options),
            method.without_optimizer.label,
            equations=setup.problem.equations,
            seed=seed,
        )

    def advance(self, spent: float) -> Ending | None:
        """See ``Driver``."""
        part = min(1.0, spent / self._horizon)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate * self._budget.rate(part * self._budget.steps)
        self.optimizer.step(self._setup.objective())
        return None

    def best(self) -> AbstractContextManager[None]:
        """See ``Driver``: it is where the last step ended."""
        return nullcontext()

    def notes(self) -> dict[str, Any]:
        """See ``Driver``: nothing beyond what every run has."""
        return {}


Adam = partial(FirstOrder, adam)
SOAP = partial(FirstOrder, soap_of)
