"""Multi-task learning as a bargaining game."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import MethodError
from ._base import GramianSurgery, NormalForm

_STEPS = 200
_CONVERGED = 1e-12


@dataclass(frozen=True)
class NashMTL(GramianSurgery):
    """The Nash bargaining solution: the product of the losses' gains is largest.

    Formula: ``d = sum_k a_k g_k`` with ``G a = 1 / a``, ``a > 0``, G the Gramian; then
    ``a_k (g_k . d) = 1`` for all k and ``|d| = sqrt(K)``. If longer than ``max_norm``, d is
    shortened to it.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Navon et al., ICML 2022, arXiv 2202.01017, claim 3.1.
    Differs: the authors' sequence of convex programs is stopped early and may miss the solution.
    This is the minimum of the convex ``b.Ub/2 - sum_k log b_k``, ``b_k = a_k |g_k|``, which has
    the same stationarity condition, by damped Newton steps to rounding. The length says nothing
    about that of the gradients: with SGD it has to come from the learning rate. Zero, and
    reported, where no direction lowers all losses.

    Args:
        blocks, verify: see ``GramianSurgery``.
        max_norm: longest update; ``math.inf`` for none.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> nash = conflictopt.make("nash_mtl", max_norm=2.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), nash)
    >>> opt.step({"a": 3 * w[0], "b": w[1]})         # a = (1/3, 1)
    >>> [round(x, 6) for x in (-w).tolist()]
    [1.0, 1.0]
    """

    max_norm: float = 1.0

    source = "Navon et al. 2022 (arXiv 2202.01017), claim 3.1"
    claim = "no conflict; the direction does not depend on the scale of any loss"
    raises_none = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_norm > 0:
            raise MethodError(f"expected max_norm > 0, found {self.max_norm}.")

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        from ..cone import least

        unit, norms = problem.gramian, problem.sizes
        # without a common descent direction the game has no solution
        start = least(unit, np.ones(len(norms)))
        if start is None:
            return problem.stationary()
        beta = bargain(unit)
        length = float(beta @ unit @ beta) ** 0.5
        coefficients: list[float] = (beta / norms * min(1.0, self.max_norm / length)).tolist()
        return coefficients


def bargain(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """``b > 0`` with ``U b = 1 / b``.

    The function is self-concordant, so that Newton steps of length ``1 / (1 + decrement)`` stay
    positive and converge from everywhere.
    """
    beta = np.ones(len(unit))
    for _ in range(_STEPS):
        slope = unit @ beta - 1 / beta
        # in units of b the curvature is b U b + 1: never worse conditioned than the problem
        curvature = beta[:, None] * unit * beta + np.eye(len(unit))
        move = np.linalg.solve(curvature, beta * slope)
        decrement = float(beta * slope @ move) ** 0.5
        beta = beta * (1 - move / (1 + decrement if decrement > 0.25 else 1.0))
        if decrement < _CONVERGED:
            break
    return beta
