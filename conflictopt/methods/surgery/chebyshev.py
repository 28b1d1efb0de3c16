"""The Chebyshev centre of the dual cone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ._base import GramianSurgery, NormalForm


@dataclass(frozen=True)
class ChebyshevCentre(GramianSurgery):
    """The direction whose smallest cosine to a gradient is largest.

    Formula: ``v = argmax_{|v| <= 1} min_k u_k . v``, with ``u_k = g_k / |g_k|``; equivalently ``v``
    is along the shortest convex combination of the ``u_k``. ``d = (sum_k g_k . v) v``.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: arXiv 2605.09975, of which only the abstract was available: the centre of the dual cone.
    Differs: the length is not known to us; this is ConFIG's. The direction is MGDA's on
    normalised gradients. Zero, and reported, where no direction lowers all losses.

    Args:
        blocks, verify: see ``GramianSurgery``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "chebyshev")
    >>> opt.step({"a": 3 * w[0], "b": w[1]})         # v = (1, 1) / sqrt(2), length 4 / sqrt(2)
    >>> [round(x, 6) for x in (-w).tolist()]
    [2.0, 2.0]
    """

    source = "arXiv 2605.09975, abstract"
    claim = "no conflict, with the largest smallest cosine; 0 only where no direction has one"
    raises_none = True

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        from ..cone import least

        unit, norms = problem.gramian, problem.sizes
        found = least(unit, np.ones(len(norms)))
        if found is None:
            return problem.stationary()
        along = unit @ found
        # |x|^2 = x . x, and the length is the sum of the projections on x / |x|
        coefficients: list[float] = (norms @ along / (found @ along) * found / norms).tolist()
        return coefficients
