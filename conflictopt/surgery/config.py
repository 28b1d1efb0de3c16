"""Conflict-free gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from ..core.aggregator import Needs, Surgery, check_blocks
from ..core.layout import ParameterLayout
from ..core.small import solve_for_ones, sumprod

_NO_DIRECTION = 1e-9


@dataclass(frozen=True)
class ConFIG(Surgery):
    """The direction with the same cosine to every gradient, as long as their projections on it.

    Formula: ``d = (sum_k g_k . v) v`` with ``v`` the unit vector along ``U^+ 1``, where the rows
    of U are the normalised gradients; ``U^+ 1 = U^T (U U^T)^+ 1`` needs the Gramian only.
    Shapes: coefficients ``[K]``, or ``[K, B]`` when there are unknowns.
    Source: Liu, Chu, Thuerey, ICLR 2025, arXiv 2408.11104, section 3.
    Differs: a zero gradient is left out (the authors' code returns NaN for two losses). With
    linearly dependent gradients equal positive cosines may not exist; the update is then the
    least-squares direction, which may conflict, and 0 for exactly opposed gradients. Refuses line
    searches: its coefficients, frozen at one point, may be negative, and then the weighted sum is
    unbounded below.

    Args:
        blocks: see ``Surgery``.

    Raises:
        MethodError: bad ``blocks``.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "config")
    >>> opt.step({"a": 3 * w[0], "b": w[1]})         # v = (1, 1) / sqrt(2), length 4 / sqrt(2)
    >>> [round(x, 6) for x in (-w).tolist()]
    [2.0, 2.0]
    """

    blocks: Literal["physics", "global"] = "physics"

    needs = Needs.GRAMIAN
    source = "Liu, Chu, Thuerey 2025 (arXiv 2408.11104), section 3"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)

    def has_scalar(self, layout: ParameterLayout) -> bool:
        # coefficients grow as 1/|g_k| and may be negative: frozen, they are no objective
        return False

    def solve(
        self, unit: list[list[float]], norms: list[float], generator: torch.Generator
    ) -> list[float]:
        alpha = solve_for_ones(unit)
        cosines = [sumprod(row, alpha) for row in unit]
        size = math.sqrt(max(0.0, sumprod(alpha, cosines)))
        if size < _NO_DIRECTION:
            return [0.0] * len(norms)
        length = sumprod(norms, cosines) / size
        return [length / size * a / n for a, n in zip(alpha, norms, strict=True)]
