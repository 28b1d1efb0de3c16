"""Unconflicting projection of gradients."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._base import GramianSurgery, NormalForm


@dataclass(frozen=True)
class UPGrad(GramianSurgery):
    """Replace each gradient by the nearest one that conflicts with none, then sum.

    Formula: ``d = sum_k p(g_k)``, ``p`` the projection on ``{x: g_j . x >= 0 for all j}``.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Quinton, Rey 2024, arXiv 2406.16232, eq. (3) and proposition 1.
    Differs: the sum where the paper has the mean, so that without conflict this is the plain step
    (a factor K); projections are solved exactly on the unit Gramian, where torchjd regularises
    that of the gradients, whose update then conflicts from norm ratios of 30 on, and is the mean
    when all gradients are small.

    Args:
        blocks, verify: see ``GramianSurgery``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "upgrad")
    >>> opt.step({"a": w[0], "b": -w[0] + w[1]})     # p(g_a) = (.5, .5), p(g_b) = (0, 1)
    >>> [round(x, 6) for x in (-w).tolist()]
    [0.5, 1.5]
    """

    source = "Quinton, Rey 2024 (arXiv 2406.16232), eq. 3"
    claim = "no conflict; the plain sum without conflict; linear in the scale of each loss"
    raises_none = True

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        if problem.agrees:
            return [1.0] * len(problem.norms)
        from ..cone import nearest_to_rows

        norms = problem.sizes
        added = norms @ nearest_to_rows(problem.gramian)
        coefficients: list[float] = (1 + added / norms).tolist()
        return coefficients
