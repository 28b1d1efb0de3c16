"""Gradient vaccine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.errors import MethodError
from ..small_linalg import sumprod
from ._base import GramianSurgery, NormalForm

_LARGEST = 1 - 1e-6
"""Targets nearer to +-1 would ask for infinitely much of the other gradient."""


@dataclass(frozen=True)
class GradVac(GramianSurgery):
    """Raise the cosine of each pair of gradients to what it usually is, where it is below that.

    Formula: for every i, for the other j in random order: with ``phi = cos(g_i', g_j)``, if
    ``phi < t_ij``: ``g_i' += g_j |g_i'| / |g_j| (t sqrt(1-phi^2) / sqrt(1-t^2) - phi)``; then
    ``t_ij <- (1-beta) t_ij + beta phi``, corrected or not. ``d = sum_i g_i'``.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks; state ``[groups, K, K]``.
    Source: Wang, Tsvetkov, Firat, Cao, ICLR 2021, arXiv 2010.05874, algorithm 1.
    Differs: targets are kept in ``[-1, 1]`` less 1e-6; no epsilon in the cosine (zero gradients
    are left out, so that the result is the same at every scale). Targets start at 0: the first
    step of two losses is PCGrad's.

    Args:
        blocks, verify: see ``GramianSurgery``.
        beta: how fast targets follow the cosines seen, in [0, 1].

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "gradvac")
    >>> opt.step({"a": w[0], "b": -w[0] + w[1]})     # g_a' = (.5, .5), g_b' = (0, 1)
    >>> [round(x, 6) for x in (-w).tolist()]
    [0.5, 1.5]
    """

    beta: float = 0.5

    source = "Wang, Tsvetkov, Firat, Cao 2021 (arXiv 2010.05874), algorithm 1"
    claim = "corrected pairs have the cosine aimed at; conflict may remain"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta <= 1:
            raise MethodError(f"expected beta in [0, 1], found {self.beta}.")

    def memory_shape(self, count: int) -> tuple[int, ...]:
        return (count, count)

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        unit, norms, losses = problem.unit, problem.norms, problem.active
        count = len(norms)
        total = [0.0] * count
        targets = memory.tolist()
        draws = torch.rand(
            count, count, generator=problem.view.generator, dtype=torch.float32, device="cpu"
        ).tolist()
        for i, draw in enumerate(draws):
            # g_i' = norms[i] * sum_j mix_j u_j
            mix, along = [float(j == i) for j in range(count)], unit[i]
            for j in sorted(range(count), key=draw.__getitem__):
                if j == i:
                    continue
                size = math.sqrt(max(0.0, sumprod(mix, along)))
                phi = max(-1.0, min(1.0, along[j] / size)) if size > 0 else 0.0
                t = targets[losses[i]][losses[j]]
                if phi < t:
                    added = size * (t * math.sqrt(1 - phi**2) / math.sqrt(1 - t**2) - phi)
                    mix[j] += added
                    along = [a + added * u for a, u in zip(along, unit[j], strict=True)]
                moved = (1 - self.beta) * t + self.beta * phi
                targets[losses[i]][losses[j]] = max(-_LARGEST, min(_LARGEST, moved))
            total = [s + norms[i] * m for s, m in zip(total, mix, strict=True)]
        memory.copy_(torch.tensor(targets, dtype=memory.dtype, device=memory.device))
        return [s / n for s, n in zip(total, norms, strict=True)]
