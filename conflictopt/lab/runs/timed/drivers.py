"""The drivers by the name that an expression has for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ....methods.expression import MethodExpression
from ...problems.problem import Mode, Problem
from ..budget import Budget
from . import auto, first_order, lbfgs, levenberg_marquardt
from .driver import Driver
from .setup import Setup


@dataclass(frozen=True)
class Kind:
    """One kind of timed runs.

    Attributes:
        make: its driver, for what is trained, an expression, a seed and a budget.
        dtype, mode: of what is trained.
        settings: in the record, in place of the plain run's.
        pools: whether steps are made of rows of a pool of points.
    """

    make: Callable[[Setup, MethodExpression, int, Budget], Driver]
    dtype: torch.dtype
    mode: Mode
    settings: dict[str, Any]
    pools: bool = False

    def setup(self, problem: Problem, seed: int, budget: Budget, method: MethodExpression) -> Setup:
        """What is trained, at its start."""
        chosen = method.optimizer
        pool = chosen.study["pool"] if self.pools and chosen is not None else 1
        return Setup.of(problem, seed, budget, self.dtype, self.mode, pool)


KINDS = {
    "levenberg_marquardt": Kind(
        levenberg_marquardt.LevenbergMarquardtDriver,
        levenberg_marquardt.DTYPE,
        levenberg_marquardt.MODE,
        levenberg_marquardt.SETTINGS,
        pools=True,
    ),
    "lbfgs": Kind(lbfgs.AdamThenLBFGS, lbfgs.DTYPE, lbfgs.MODE, lbfgs.SETTINGS),
    "adam": Kind(
        first_order.Adam, first_order.DTYPE, first_order.MODE, first_order.settings("adam")
    ),
    "muon": Kind(
        first_order.Muon, first_order.DTYPE, first_order.MODE, first_order.settings("muon")
    ),
    "soap": Kind(
        first_order.SOAP, first_order.DTYPE, first_order.MODE, first_order.settings("soap")
    ),
}


AUTO = Kind(auto.AutoDriver, auto.DTYPE, auto.MODE, auto.SETTINGS)
"""``auto`` is timed since its plan may be of steps that cost more, unless something else was asked
for."""


def kind_of(method: MethodExpression) -> Kind | None:
    """The kind of a method's runs; ``None`` of those that are not timed."""
    if method.optimizer is not None:
        return KINDS[method.optimizer.name]
    chosen = method.auto
    if chosen is None or chosen.curvature is False or chosen.reweighting is not None:
        return None
    return AUTO if method.design is None else None


def timed_settings(method: MethodExpression) -> dict[str, Any]:
    """What the settings of a timed run have in place of the plain run's; nothing for others."""
    kind = kind_of(method)
    return {} if kind is None else kind.settings
