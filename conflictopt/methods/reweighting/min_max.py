"""Weights that rise where the loss is large."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...core.aggregator import Needs, State
from ...core.step import StepView
from ._learned import LearnedReweighting


@dataclass(frozen=True)
class MinMax(LearnedReweighting):
    """The network descends on the weighted sum, the weights ascend on it.

    Formula: ``max_s sum_k w_k L_k``, ``w = K softmax(s)``; one Adam step on s per step.
    Shapes: weights ``[K]``.
    Source: Liu, Wang, Neural Networks 136 (2021), arXiv 2005.00615, for the min-max problem; the
    softmax and Adam as intended in the experiments of ConFIG (arXiv 2408.11104).
    Differs: the former searches the saddle point by dual-dimer steps; the latter's code uses s
    itself as weights, which become negative. Weights drift to the loss of largest value; their
    ratio is bounded by ``cap``.

    Args:
        lr, cap: see ``LearnedReweighting``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("min_max", lr=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> for _ in range(2):
    ...     opt.step({"pde": 3 * w[0], "bc": w[1]})  # Adam moves s to (.5, -.5)
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [1.4621, 0.5379]
    """

    needs = Needs.LOSSES
    source = "Liu, Wang 2021 (arXiv 2005.00615); softmax form of ConFIG's experiments"
    claim = "weights of sum K that rise where a loss is above the weighted mean"

    def slope(self, view: StepView, weights: Tensor, state: State) -> Tensor:
        return -view.losses.cpu().double()
