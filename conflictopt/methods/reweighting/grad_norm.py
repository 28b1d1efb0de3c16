"""Weights that bring the gradients to one norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import Needs
from ...core.errors import MethodError
from ...core.layout import TRUNK
from ...core.step import StepView
from ._periodic import PeriodicReweighting


@dataclass(frozen=True)
class GradNormBalance(PeriodicReweighting):
    """Balance gradient norms (jaxpi's rule), or only lift conditions to the equations' norm.

    Formula: form ``"mean"``: ``w_k = mean_j |g_j| / |g_k|``. Form ``"sum"``: ``w_k = sum_j |g_j| /
    |g_k|``, K times as much: it multiplies the learning rate by K. Form ``"one_sided"``: equations
    keep 1, a condition gets ``w_k = max(1, mean_{j in equations} |g_j| / |g_k|)``.
    Shapes: weights ``[K]``; norms over the network's parameters.
    Source: Wang, Sankaran, Wang, Perdikaris 2023 (arXiv 2308.08468), algorithm 1, in the form of
    its code (jaxpi).
    Differs: ``"sum"`` is the paper's, ``"mean"`` its code's; a loss without gradient is left out
    and keeps 1; bounded by ``cap``. Both forms feed back on
    themselves: on a source-free equation the residual's gradient vanishes, its weight grows, it
    vanishes further (seen up to 1e8 on the wave equation, uncapped). The one-sided form cannot do
    that to an equation, and is not in the paper.

    Args:
        momentum, refresh, cap: see ``PeriodicReweighting``.
        form: ``"mean"``, ``"sum"`` or ``"one_sided"``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("grad_norm", momentum=0.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> opt.step({"pde": 3 * w[0], "bc": w[1]})      # norms 3 and 1, mean 2
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [0.6667, 2.0]
    """

    cap: float = 100.0
    form: Literal["mean", "sum", "one_sided"] = "mean"

    needs = Needs.NORMS
    source = "Wang, Sankaran, Wang, Perdikaris 2023 (arXiv 2308.08468), algorithm 1"
    claim = "weighted gradients have one norm (mean, sum); no condition falls below 1 (one_sided)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in ("mean", "sum", "one_sided"):
            raise MethodError(f"expected form='mean', 'sum' or 'one_sided', found {self.form!r}.")

    def target(self, view: StepView, weights: Tensor) -> Tensor:
        norms = view.norms(TRUNK)
        if self.form == "mean":
            return norms[norms > 0].mean() / norms
        if self.form == "sum":
            return norms.sum() / norms
        equation = torch.tensor(view.spec.equations, device="cpu")
        lifted = (norms[equation & (norms > 0)].mean() / norms).clamp_min(1.0)
        return torch.where(equation, torch.ones_like(norms), lifted)
