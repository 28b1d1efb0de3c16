"""Projecting conflicting gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core.aggregator import Needs, Surgery, check_blocks


@dataclass(frozen=True)
class PCGrad(Surgery):
    """Remove from each gradient its components against the others, then sum.

    Formula: for every i, over j != i in random order:
    ``if g_i' . g_j < 0: g_i' -= (g_i' . g_j) / |g_j|^2 * g_j``; update ``sum_i g_i'``.
    Shapes: coefficients ``[K]``, or ``[K, B]`` when there are unknowns.
    Source: Yu et al., NeurIPS 2020, arXiv 2001.06782, algorithm 1.
    Differs: nothing (the sum, as the authors' TensorFlow code); the order comes from the run's
    own generator. For K >= 3 the result may still conflict with a loss: the paper proves none.

    Args:
        blocks: see ``Surgery``.

    Raises:
        MethodError: bad ``blocks``.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "pcgrad")
    >>> opt.step({"a": w[0], "b": -w[0] + w[1]})     # g_a' = (.5, .5), g_b' = (0, 1)
    >>> (-w).tolist()
    [0.5, 1.5]
    """

    blocks: Literal["physics", "global"] = "physics"

    needs = Needs.GRAMIAN
    source = "Yu et al. 2020 (arXiv 2001.06782), algorithm 1"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)

    def solve(self, unit: Tensor, norms: Tensor, generator: torch.Generator) -> Tensor:
        count = len(norms)
        cos, length = unit.tolist(), norms.tolist()
        total = [1.0] * count
        if min(map(min, cos)) >= 0:
            return torch.ones_like(norms)
        draws = torch.rand(count, count, generator=generator, device="cpu").tolist()
        for i, draw in enumerate(draws):
            # g_i' = |g_i| * sum_j part[j] * u_j in coordinates of the unit gradients, and its
            # products with them
            along = list(cos[i])
            for j in sorted(range(count), key=draw.__getitem__):
                if j != i and along[j] < 0:
                    removed = along[j]
                    total[j] -= length[i] * removed / length[j]
                    along = [a - removed * c for a, c in zip(along, cos[j], strict=True)]
        return torch.tensor(total, dtype=torch.float64, device="cpu")
