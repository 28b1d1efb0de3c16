"""Projecting conflicting gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ._base import GramianSurgery, NormalForm


@dataclass(frozen=True)
class PCGrad(GramianSurgery):
    """Remove from each gradient its components against the others, then sum.

    Formula: for every i, over j != i in random order:
    ``if g_i' . g_j < 0: g_i' -= (g_i' . g_j) / |g_j|^2 * g_j``; update ``sum_i g_i'``.
    Shapes: coefficients ``[K]``, or ``[K, B]`` when there are unknowns.
    Source: Yu et al., NeurIPS 2020, arXiv 2001.06782, algorithm 1.
    Differs: nothing (the sum, as the authors' TensorFlow code); the order comes from the run's
    own generator. For K >= 3 the result may still conflict with a loss: the paper proves none.

    Args:
        blocks, verify: see ``GramianSurgery``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "pcgrad")
    >>> opt.step({"a": w[0], "b": -w[0] + w[1]})     # g_a' = (.5, .5), g_b' = (0, 1)
    >>> (-w).tolist()
    [0.5, 1.5]
    """

    source = "Yu et al. 2020 (arXiv 2001.06782), algorithm 1"
    claim = "the plain sum without conflict; no conflict for K = 2, not for K >= 3"

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        unit, norms = problem.unit, problem.norms
        count = len(norms)
        total = [1.0] * count
        if problem.agrees:
            return total
        draws = torch.rand(
            count, count, generator=problem.view.generator, dtype=torch.float32, device="cpu"
        ).tolist()
        for i, draw in enumerate(draws):
            # g_i' in coordinates of the unit gradients; along[j] is its product with the j-th
            along = unit[i]
            for j in sorted(range(count), key=draw.__getitem__):
                if j != i and along[j] < 0:
                    removed = along[j]
                    total[j] -= norms[i] * removed / norms[j]
                    along = [a - removed * u for a, u in zip(along, unit[j], strict=True)]
        return total
