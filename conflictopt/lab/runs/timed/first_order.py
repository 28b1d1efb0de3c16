"""Timed runs of optimizers that step by gradients: how far they come in the plain run's time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ....core.extras import require
from ....methods.expression import MethodExpression
from ....optim.guarded_soap import GuardedSOAP
from ....optim.optimizer import MultiLossOptimizer
from ...problems.problem import Mode
from ..budget import Budget
from .driver import Ending
from .setup import Setup

DTYPE = torch.float32
MODE: Mode = "taylor"

Make = Callable[..., torch.optim.Optimizer]
"""An optimizer of parameters, with the plain run's first learning rate and the options of the
expression."""


def settings(optimizer: str) -> dict[str, Any]:
    """What the record's settings have in place of the plain run's."""
    return {"optimizer": optimizer, "schedule": "cosine over the time", "dtype": "float32"}


def adam(params: Sequence[Tensor], first: float, rate: float = 1.0) -> torch.optim.Optimizer:
    """Adam, as in the plain run, at its first rate or a multiple of it."""
    return torch.optim.Adam(params, lr=rate * first)


def soap(params: Sequence[Tensor], first: float, **options: Any) -> torch.optim.Optimizer:
    """SOAP after that Adam.

    Raises:
        MissingExtraError: pytorch_optimizer is not there.
    """
    return GuardedSOAP(adam(params, first), **options)


def muon(params: Sequence[Tensor], first: float, rate: float = 1.0) -> torch.optim.Optimizer:
    """Muon for the weights between hidden layers, and Adam as in the plain run for the rest.

    pytorch_optimizer's: torch's own takes no other parameters, and a run has one optimizer.

    Raises:
        MissingExtraError: pytorch_optimizer is not there.
    """
    require("optimizers", "pytorch_optimizer")
    from pytorch_optimizer import Muon

    matrices = [p for p in params if p.ndim == 2][1:-1]
    known = set(map(id, matrices))
    rest = [p for p in params if id(p) not in known]
    groups = [
        {"params": matrices, "lr": rate * first, "use_muon": True},
        {"params": rest, "lr": first, "betas": (0.9, 0.999), "eps": 1e-8, "use_muon": False},
    ]
    made: Any = Muon(groups, use_adjusted_lr=True)
    optimizer: torch.optim.Optimizer = made
    return optimizer


class FirstOrder:
    """One optimizer throughout, its rate along the budget's schedule stretched over the time.

    With a pool its steps go around as many sets of points, the run's own first.

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
        self._sets, self._taken = setup.sets(chosen.study["pool"], seed, budget), 0
        self._inner = make(setup.parameters, budget.learning_rate, **options)
        self._rates = [float(group["lr"]) for group in self._inner.param_groups]
        self.optimizer = MultiLossOptimizer(
            self._inner,
            method.without_optimizer.label,
            equations=setup.problem.equations,
            seed=seed,
        )

    @property
    def setup(self) -> Setup:
        """See ``Driver``."""
        return self._setup

    def advance(self, spent: float) -> Ending | None:
        """See ``Driver``."""
        part = min(1.0, spent / self._horizon)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._budget.rate(part * self._budget.steps)
        points = self._sets[self._taken % len(self._sets)]
        self.optimizer.step(points.at(self._setup.derive, self._setup.unknowns))
        self._taken += 1
        return None

    def best(self) -> AbstractContextManager[None]:
        """See ``Driver``: it is where the last step ended."""
        return nullcontext()

    def notes(self) -> dict[str, Any]:
        """See ``Driver``: of SOAP, the step from which Adam trained on, if it did."""
        inner = self._inner
        return {"given_back": inner.given_back} if isinstance(inner, GuardedSOAP) else {}


Adam = partial(FirstOrder, adam)
SOAP = partial(FirstOrder, soap)
Muon = partial(FirstOrder, muon)
