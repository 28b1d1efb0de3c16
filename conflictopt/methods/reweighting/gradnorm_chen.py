"""Weights learned such that the losses train at one rate."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...core.aggregator import Needs
from ...core.layout import TRUNK
from ...core.step import StepView
from ._learned import RateReweighting


@dataclass(frozen=True)
class GradNorm(RateReweighting):
    """Learn weights whose gradients have norms in proportion to how far each loss lags behind.

    Formula: ``min_w sum_k | w_k |g_k| - G r_k^alpha |`` with ``G = mean_j w_j |g_j|`` and
    ``r_k = (L_k / L_k(0)) / mean_j (L_j / L_j(0))`` held fixed; one Adam step on s per step,
    ``w = K softmax(s)``.
    Shapes: weights ``[K]``; norms over the network's parameters.
    Source: Chen, Badrinarayanan, Lee, Rabinovich, ICML 2018, arXiv 1711.02257, algorithm 1.
    Differs: the softmax keeps weights positive with sum K, where the paper renormalises after each
    step; norms over the whole network instead of its last shared layer; the ratio of two weights
    is bounded by ``cap``. Not to be confused with ``grad_norm``, which computes weights from norms
    directly.

    Args:
        lr, cap: see ``LearnedReweighting``; the default rate is our choice, the paper names none.
        alpha: how strongly lagging losses are favoured; 0 aims at equal norms.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("gradnorm_chen", lr=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> for _ in range(2):
    ...     opt.step({"pde": 3 * w[0], "bc": w[1]})  # Adam moves s to (-.5, .5)
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [0.5379, 1.4621]
    """

    lr: float = 1e-2
    alpha: float = 1.5

    needs = Needs.NORMS
    source = "Chen, Badrinarayanan, Lee, Rabinovich 2018 (arXiv 1711.02257), algorithm 1"
    claim = "weights of sum K; aims at norms in proportion to how far each loss lags behind"
    passes = "K"

    def sizes(self, view: StepView) -> Tensor:
        return view.norms(TRUNK)

    def level(self, sizes: Tensor, weights: Tensor) -> Tensor:
        return (weights * sizes).mean()
