"""Impartial multi-task learning, gradient part."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..small_linalg import NO_DIRECTION, solve_for_ones, sumprod
from ._base import Claim, GramianSurgery, NormalForm


@dataclass(frozen=True)
class IMTLG(GramianSurgery):
    """The combination with weights of sum 1 that has the same projection on every direction.

    Formula: ``d = sum_k a_k g_k`` with ``sum_k a_k = 1`` and ``u_k . d`` equal for all k:
    ``a_k = b_k / |g_k| / sum_j (b_j / |g_j|)``, ``b = U^+ 1`` with the Gramian U of the unit
    gradients.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Liu et al., Towards Impartial Multi-task Learning, ICLR 2021 (IMTL-G).
    Differs: the sum of ``b_j / |g_j|`` may be negative, and then all losses would rise: its
    absolute value is taken (weights of sum -1). Near 0 it makes the update arbitrarily long: it is
    bounded by ``sum_k |g_k|``, the longest that the plain sum can be, and reported. Zero, and
    reported, for exactly opposed gradients. With dependent gradients equal projections may not
    exist; the update is then the least-squares direction.

    Args:
        blocks, verify: see ``GramianSurgery``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "imtl_g")
    >>> opt.step({"a": 3 * w[0], "b": w[1]})         # weights 1/4 and 3/4
    >>> [round(x, 6) for x in (-w).tolist()]
    [0.75, 0.75]
    """

    source = "Liu et al. 2021 (ICLR), IMTL-G"
    claim = "equal projections on all unit gradients, if they are linearly independent"
    claims = Claim.EQUAL_COSINES
    signed = True

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        norms = problem.norms
        beta = solve_for_ones(problem.unit)
        along = [sumprod(row, beta) for row in problem.unit]
        size = math.sqrt(max(0.0, sumprod(beta, along)))
        if size < NO_DIRECTION:
            return problem.stationary()
        divisor = abs(sum(b / n for b, n in zip(beta, norms, strict=True)))
        least = size / sum(norms)
        if divisor < least:
            problem.view.report(
                "cap",
                f"the update of {self.label} was bounded by the sum of the gradients' norms: its "
                f"weights sum to {divisor / least:.2g} of what that length allows.",
            )
            divisor = least
        return [b / n / divisor for b, n in zip(beta, norms, strict=True)]
