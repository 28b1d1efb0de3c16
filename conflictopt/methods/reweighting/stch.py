"""Smooth Chebyshev scalarisation: most weight for the largest losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.errors import MethodError
from ...core.step import StepView


@dataclass(frozen=True)
class STCH(Reweighting):
    """The gradient of a smooth maximum of the losses.

    Formula: ``mu log sum_k exp(L_k / (K mu))`` has the weights ``softmax(L / (K mu)) / K``; here
    ``w = K softmax(L / (K mu))``.
    Shapes: weights ``[K]``.
    Source: Lin et al., ICML 2024, arXiv 2402.19078, with equal preferences 1/K and the ideal point
    0.
    Differs: times ``K^2``, so that equal losses give the plain sum; no preferences, which weights
    of the losses themselves express.

    Args:
        mu: smoothing, in units of the losses, > 0: towards 0 the largest loss alone counts.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("stch", mu=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> opt.step({"pde": 2 * w[0], "bc": w[1]})      # softmax(2, 1)
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [1.4621, 0.5379]
    """

    mu: float = 0.1

    needs = Needs.LOSSES
    source = "Lin et al. 2024 (arXiv 2402.19078)"
    claim = "weights of sum K, larger for larger losses"

    def __post_init__(self) -> None:
        if not 0 < self.mu < float("inf"):
            raise MethodError(f"expected a finite mu > 0, found {self.mu}.")

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        count = view.count
        # softmax subtracts the largest first, so nothing overflows
        shares = torch.softmax(view.losses.cpu().double() / (count * self.mu), dim=0)
        return (count * shares).to(dtype=view.spec.dtype, device=view.spec.device), state
