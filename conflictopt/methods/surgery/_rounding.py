"""Whether an update is more than the rounding errors of what it is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..small_linalg import sumprod
from ._normal_form import NormalForm

NOISE = 10
"""Roundings of its terms below which an update has no direction."""
_LOOSE = 2000
"""Roundings of its terms below which it may conflict although in exact numbers it does not."""
_CONFLICT = -1e-3


def above_rounding(
    problem: NormalForm, coefficients: Sequence[float], group: tuple[str, ...], raises_none: bool
) -> Sequence[float]:
    """Coefficients as they are, or 0 where their sum of gradients is rounding errors.

    Opposite gradients cancel. What float32 leaves of them is as long as an optimizer that divides
    by root mean squares makes it, in a direction that nobody chose.

    Args:
        problem: what was solved.
        coefficients: the solution.
        group: the blocks.
        raises_none: whether the update must conflict with no loss, which then is looked at in the
            gradients themselves.
    """
    terms, size = _measure(problem, coefficients)
    rounding = torch.finfo(problem.view.spec.dtype).eps * terms
    if terms == 0 or size > _LOOSE * rounding:
        return coefficients
    if size <= NOISE * rounding:
        return problem.stationary()
    if raises_none and _least_cosine(problem, coefficients, group) < _CONFLICT:
        return problem.stationary()
    return coefficients


def _measure(problem: NormalForm, coefficients: Sequence[float]) -> tuple[float, float]:
    """The sum of the terms' lengths, and the length of their sum."""
    if isinstance(problem.given, list):  # Python is quicker with nine numbers
        beta = [c * n for c, n in zip(coefficients, problem.norms, strict=True)]
        along = [sumprod(row, beta) for row in problem.given]
        return sum(map(abs, beta)), math.sqrt(max(0.0, sumprod(beta, along)))
    array = np.asarray(coefficients) * problem.sizes
    square = float(array @ problem.gramian @ array)
    return float(np.abs(array).sum()), math.sqrt(max(0.0, square))


def _least_cosine(
    problem: NormalForm, coefficients: Sequence[float], group: tuple[str, ...]
) -> float:
    """Of the update as it is handed over."""
    along, square = torch.zeros(len(problem.active), dtype=torch.float64), 0.0
    for name in group:
        rows = problem.view.rows(name)[problem.active]
        d = rows.new_tensor(coefficients) @ rows
        along += (rows.double() @ d.double()).cpu()
        square += float(d.double().square().sum())
    cosines = along.numpy() / problem.sizes / (math.sqrt(square) or 1.0)
    return float(cosines.min())
