"""Linear algebra with the Gramian of a few losses, in plain numbers.

With three losses, one tensor operation takes longer than the whole solution does in Python.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import torch

WELL_CONDITIONED = 1e-6
"""Smallest squared pivot of a unit Gramian for which elimination is as good as it gets."""
_MANY = 12
"""Gradients from which tensor operations are quicker than Python."""
_RANK = 1e-12
NO_DIRECTION = 1e-6
"""Length of ``U^+ 1``, as a vector of unit gradients, below which they are opposed: with rounding
of float32, three opposed gradients have 1e-7."""


def sumprod(a: Sequence[float], b: Sequence[float]) -> float:
    """``sum_i a_i b_i`` over the length of the shorter."""
    return float(sum(map(operator.mul, a, b)))


def solve_for_ones(unit: list[list[float]]) -> list[float]:
    """``U^+ 1`` for a symmetric positive semidefinite ``[k][k]`` matrix with unit diagonal.

    By Cholesky's factors where they are well conditioned, else by the pseudo-inverse.
    """
    factor = cholesky(unit) if len(unit) < _MANY else None
    if factor is None:
        u = torch.tensor(unit, dtype=torch.float64, device="cpu")
        lower, failed = torch.linalg.cholesky_ex(u)
        if not failed and float(lower.diagonal().min()) ** 2 >= WELL_CONDITIONED:
            ones = torch.ones(len(unit), 1, dtype=torch.float64, device="cpu")
            solved: list[float] = torch.cholesky_solve(ones, lower)[:, 0].tolist()
            return solved
        least: list[float] = torch.linalg.pinv(u, rtol=_RANK, hermitian=True).sum(dim=1).tolist()
        return least
    k = len(unit)
    x = [0.0] * k
    for i in range(k):
        x[i] = (1 - sumprod(factor[i], x[:i])) / factor[i][i]
    for i in reversed(range(k)):
        x[i] = (x[i] - sum(factor[j][i] * x[j] for j in range(i + 1, k))) / factor[i][i]
    return x


def equal_cosines(unit: list[list[float]], norms: list[float]) -> list[float] | None:
    """Coefficients of the vector that has the same cosine to all gradients (ConFIG).

    Args:
        unit: ``[k][k]`` Gramian of the normalised gradients.
        norms: ``[k]`` their norms, all positive.

    Returns:
        ``c`` with ``d = sum_k c_k g_k`` as long as the sum of the projections on it; ``None`` where
        the gradients are opposed and there is no such direction.
    """
    alpha = solve_for_ones(unit)
    cosines = [sumprod(row, alpha) for row in unit]
    size = math.sqrt(max(0.0, sumprod(alpha, cosines)))
    if size < NO_DIRECTION:
        return None
    length = sumprod(norms, cosines) / size
    return [length / size * a / n for a, n in zip(alpha, norms, strict=True)]


def cholesky(matrix: list[list[float]]) -> list[list[float]] | None:
    """The lower factor; ``None`` if a pivot is too small to divide by."""
    factor: list[list[float]] = []
    for i, line in enumerate(matrix):
        row: list[float] = []
        for j in range(i):
            row.append((line[j] - sumprod(row, factor[j])) / factor[j][j])
        pivot = line[i] - sumprod(row, row)
        if pivot < WELL_CONDITIONED:
            return None
        factor.append([*row, math.sqrt(pivot)])
    return factor
