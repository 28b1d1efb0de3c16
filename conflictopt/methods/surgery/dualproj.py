"""Projection of the summed gradient on the dual cone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._base import GramianSurgery, NormalForm


@dataclass(frozen=True)
class DualProj(GramianSurgery):
    """The vector nearest to the summed gradient that conflicts with no loss.

    Formula: ``d = argmin |x - sum_k g_k|`` subject to ``g_k . x >= 0`` for all k.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Lopez-Paz, Ranzato, NeurIPS 2017, arXiv 1706.08840, eq. (11), in the form of Quinton,
    Rey 2024, arXiv 2406.16232.
    Differs: the sum where the latter has the mean, so that without conflict this is the plain step
    (a factor K); solved exactly on the unit Gramian (see ``UPGrad``).

    Args:
        blocks, verify: see ``GramianSurgery``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "dualproj")
    >>> opt.step({"a": w[0], "b": -3 * w[0] + w[1]})     # sum (-2, 1), nearest x with x_0 >= 0
    >>> [abs(round(x, 6)) for x in (-w).tolist()]
    [0.0, 1.0]
    """

    source = "Lopez-Paz, Ranzato 2017 (arXiv 1706.08840), eq. 11; Quinton, Rey 2024"
    claim = "no conflict; the plain sum where that does not conflict"
    raises_none = True

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        if problem.agrees:
            return [1.0] * len(problem.norms)
        from ..cone import nearest

        norms = problem.sizes
        added = nearest(problem.gramian, problem.gramian @ norms)
        coefficients: list[float] = (1 + added / norms).tolist()
        return coefficients
