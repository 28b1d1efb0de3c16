"""Alpha-fair shares of the losses' progress."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import MethodError
from ._base import GramianSurgery, NormalForm

_STEPS = 200
_NEAR, _CONVERGED = 1e-2, 1e-14
"""Largest relative changes of a coefficient from which Newton's steps need no search, and end."""
_ARMIJO, _SHORTEST = 1e-4, 1e-12
_MOST, _LEAST = 10.0, 1e-150
"""The largest alpha, and the least coefficient relative to the common size."""


@dataclass(frozen=True)
class FairGrad(GramianSurgery):
    """The alpha-fair allocation: no loss's gain can grow without a dearer loss of another's.

    Formula: ``d = sum_k a_k g_k`` with ``G a = a^(-1/alpha)``, ``a > 0``, G the Gramian; then
    ``(g_k . d)^alpha = 1 / a_k``. With alpha = 1 that is Nash's solution (``nash_mtl`` without its
    bound on the length), towards 0 the plain sum's, towards infinity the greatest least gain.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Ban and Ji, ICML 2024, arXiv 2402.15638, equation 4 and algorithm 1.
    Differs: the authors minimise squares of the residuals of these equations from a fixed start,
    which may stop elsewhere. This is the minimum of the convex
    ``b.Ub/2 - sum_k s_k b_k^(1-p)/(1-p)`` with ``p = 1/alpha``, ``b_k = a_k |g_k|``,
    ``s_k = |g_k|^(p-1)``, which has the same stationarity condition, by Newton steps to rounding.
    Zero, and reported, where no direction lowers all losses.

    Args:
        blocks, verify: see ``GramianSurgery``.
        alpha: above 0, at most 10; the larger, the more the losses with little progress count.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> fair = conflictopt.make("fairgrad", alpha=2.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), fair)
    >>> opt.step({"a": 8 * w[0], "b": w[1]})         # 64 a = a^(-1/2): a = 1/16; b: 1
    >>> [round(x, 6) for x in (-w).tolist()]
    [0.5, 1.0]
    """

    alpha: float = 2.0

    source = "Ban, Ji 2024 (arXiv 2402.15638), equation 4"
    claim = "no conflict; gains to the power alpha are inverse to the coefficients"
    raises_none = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.alpha <= _MOST:
            raise MethodError(
                f"expected alpha above 0 and at most {_MOST:g}, found {self.alpha}: beyond that "
                "coefficients leave the range of numbers. 'chebyshev' has the fairest shares."
            )

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        from ..cone import least

        unit, norms = problem.gramian, problem.sizes
        # without a common descent direction the equations have no solution
        if least(unit, np.ones(len(norms))) is None:
            return problem.stationary()
        coefficients: list[float] = (fair_shares(unit, norms, 1 / self.alpha) / norms).tolist()
        return coefficients


def fair_shares(
    unit: NDArray[np.float64], norms: NDArray[np.float64], power: float
) -> NDArray[np.float64]:
    """``b > 0`` with ``(U b)_k = s_k b_k^(-power)``, ``s_k = norms_k^(power - 1)``.

    Solved for b relative to its common size, which may be beyond the range of numbers squared.
    """
    logs = (power - 1) * np.log(norms)
    level = float(logs.mean())
    s = np.exp(logs - level)
    b = s ** (1 / (1 + power))  # the solution of orthogonal gradients
    for _ in range(_STEPS):
        wanted = s * b ** (1 - power)
        slope: NDArray[np.float64] = b * (unit @ b) - wanted
        # in units of b, in which the problem is no worse conditioned than its solution
        curvature = b[:, None] * unit * b + np.diag(power * wanted)
        scale = np.sqrt(curvature.diagonal())
        solved = np.linalg.solve(curvature / scale[:, None] / scale, slope / scale)
        move = np.asarray(solved / scale, dtype=np.float64)
        largest = float(np.abs(move).max())
        before = b
        b = b * (1 - move) if largest < _NEAR else _lowered(unit, s, b, power, move, slope)
        b = np.maximum(b, _LEAST)
        if largest < _CONVERGED or (b == before).all():
            break
    common: NDArray[np.float64] = b * math.exp(level / (1 + power))
    return common


def _lowered(
    unit: NDArray[np.float64],
    s: NDArray[np.float64],
    b: NDArray[np.float64],
    power: float,
    move: NDArray[np.float64],
    slope: NDArray[np.float64],
) -> NDArray[np.float64]:
    """B after as much of a Newton step as keeps it positive and lowers the value."""
    value, fall = _value(unit, s, b, power), float(slope @ move)
    step = 1.0
    while step > _SHORTEST:
        shrunk = b / (1 + step * np.maximum(move, 0))  # to first order the same, and positive
        tried = np.where(move > 0, shrunk, b * (1 - step * move))
        if _value(unit, s, tried, power) <= value - _ARMIJO * step * fall:
            return tried
        step /= 2
    return b


def _value(
    unit: NDArray[np.float64], s: NDArray[np.float64], b: NDArray[np.float64], power: float
) -> float:
    """What is minimised."""
    utility = np.log(b) if power == 1 else (b ** (1 - power) - 1) / (1 - power)
    return float(b @ unit @ b / 2 - s @ utility)
