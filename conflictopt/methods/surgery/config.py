"""Conflict-free gradients."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..small_linalg import equal_cosines
from ._base import Claim, GramianSurgery, NormalForm


@dataclass(frozen=True)
class ConFIG(GramianSurgery):
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
        blocks, verify: see ``GramianSurgery``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "config")
    >>> opt.step({"a": 3 * w[0], "b": w[1]})         # v = (1, 1) / sqrt(2), length 4 / sqrt(2)
    >>> [round(x, 6) for x in (-w).tolist()]
    [2.0, 2.0]
    """

    source = "Liu, Chu, Thuerey 2025 (arXiv 2408.11104), section 3"
    claim = "equal positive cosines to all gradients, if they are linearly independent"
    claims = Claim.EQUAL_COSINES
    signed = True

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        return equal_cosines(problem.unit, problem.norms) or problem.stationary()
