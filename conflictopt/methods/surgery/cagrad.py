"""Conflict-averse gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import MethodError
from ._base import GramianSurgery, NormalForm

Vector = NDArray[np.floating[Any]]
_OUT_OF_REACH = 1e6
"""Stands for an infinite excess of length."""
_CANCELS = 1e7
"""Sum of multipliers, in units of the length, from which half of all digits cancel."""


@dataclass(frozen=True)
class CAGrad(GramianSurgery):
    """The direction near the summed gradient whose smallest decrease of a loss is largest.

    Formula: ``d = argmax min_k g_k . d`` subject to ``|d - g0| <= c |g0|``, ``g0 = sum_k g_k``.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Liu, Liu, Jin, Stone, Liu, NeurIPS 2021, arXiv 2110.14048, eq. (3).
    Differs: g0 is the sum where the paper has the mean, so that ``c = 0`` is the plain step (a
    factor K; the authors' code multiplies by K too); no division by ``1 + c^2``; solved on the unit
    Gramian without the authors' epsilons, which stop training when all gradients are small.
    Conflict-free for ``c >= 1``; below, not always.

    Args:
        blocks, verify: see ``GramianSurgery``.
        c: radius of the ball around the sum, as a multiple of its length, >= 0.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> method = conflictopt.make("cagrad", c=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), method)
    >>> opt.step({"a": w[0], "b": w[1]})             # g0 = (1, 1) is the best direction
    >>> [round(x, 6) for x in (-w).tolist()]
    [1.5, 1.5]
    """

    c: float = 0.4

    source = "Liu, Liu, Jin, Stone, Liu 2021 (arXiv 2110.14048), eq. 3"
    claim = "within c times its length of the summed gradient; no conflict for c >= 1"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.c >= 0 and math.isfinite(self.c)):
            raise MethodError(f"expected a finite c >= 0, found {self.c}.")

    @property
    def raises_none(self) -> bool:  # type: ignore[override]
        return self.c >= 1

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        unit, norms = problem.gramian, problem.sizes
        along = unit @ norms
        radius = self.c * math.sqrt(max(0.0, float(norms @ along)))
        if radius <= 1e-12 * norms.sum():
            return [1.0] * len(norms)
        added = _push(unit, norms / norms.max(), along / radius)
        coefficients: list[float] = (1 + radius * added / norms).tolist()
        return coefficients


def _push(unit: Vector, norms: Vector, along: Vector) -> Vector:
    """Multipliers of the unit gradients in the vector y, ``|y| <= 1``, that helps the worst loss.

    The largest t such that some ``|y| <= 1`` has ``g_k . (x + y) >= t`` for all k, where x is the
    sum: for every t the shortest y is a least-distance problem, and its length grows with t.

    Args:
        unit: ``[K, K]`` unit Gramian.
        norms: ``[K]`` norms, the largest 1.
        along: ``[K]`` products ``u_k . x``, in units of the radius.
    """
    from scipy.optimize import brentq

    from ..cone import least, nearest

    best = nearest(unit, along)  # t = 0
    gap = abs(_length(unit, best) - 1)

    def excess(t: float) -> float:
        nonlocal best, gap
        found = least(unit, t / norms - along)
        if found is None:
            return _OUT_OF_REACH
        length = _length(unit, found)
        if found.sum() > _CANCELS * max(1.0, length):
            return _OUT_OF_REACH  # its length is rounding of what cancels
        if abs(length - 1) < gap:
            best, gap = found, abs(length - 1)
        return length - 1

    if _length(unit, best) > 1:
        low, high = float((norms * along).min()), 0.0
    elif least(unit, np.ones(len(norms))) is None:
        return best  # no t above 0 can be reached without a common descent direction
    else:
        low, high = 0.0, float((norms * (along + 1)).min())
    if low < high and excess(high) > 0:
        brentq(excess, low, high, xtol=1e-300, rtol=1e-13, maxiter=1000)
    length = _length(unit, best)
    return best / length if length > 0 else best


def _length(unit: Vector, multipliers: Vector) -> float:
    return math.sqrt(max(0.0, float(multipliers @ unit @ multipliers)))
