"""Weights learned such that weighted losses follow the relative rates of training."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...core.aggregator import Needs
from ...core.step import StepView
from ._learned import RateReweighting


@dataclass(frozen=True)
class ResNorm(RateReweighting):
    """GradNorm with losses in place of gradient norms: no gradient is evaluated for it.

    Formula: ``min_w sum_k | w_k L_k - M r_k^alpha |`` with ``M = mean_j L_j`` and
    ``r_k = (L_k / L_k(0)) / mean_j (L_j / L_j(0))`` held fixed; one Adam step on s per step,
    ``w = K softmax(s)``.
    Shapes: weights ``[K]``.
    Source: NVIDIA PhysicsNeMo-Sym, ``ResNorm`` in its loss aggregators; there is no paper.
    Differs: the softmax keeps weights positive with sum K, where the original renormalises
    exponentials; a loss that begins at 0 has rate 1 (there NaN); the ratio of two weights is
    bounded by ``cap``.

    Args:
        lr, cap: see ``LearnedReweighting``.
        alpha: 1 aims at weights ``1 / L_k(0)``, whatever the progress (the target then falls with
            the loss); above 1, lagging losses are favoured.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("resnorm", lr=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> for _ in range(2):
    ...     opt.step({"pde": 3 * w[0], "bc": w[1]})  # Adam moves s to (-.5, .5)
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [0.5379, 1.4621]
    """

    needs = Needs.LOSSES
    source = "NVIDIA PhysicsNeMo-Sym, loss aggregator ResNorm"
    claim = "weights of sum K; aims at weighted losses in proportion to how far each lags behind"

    def sizes(self, view: StepView) -> Tensor:
        return view.losses.cpu().double()

    def level(self, sizes: Tensor, weights: Tensor) -> Tensor:
        return sizes.mean()
