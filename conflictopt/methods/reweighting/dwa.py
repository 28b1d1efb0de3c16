"""Dynamic weight average."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.checks import check_count
from ...core.errors import MethodError
from ...core.step import Spec, StepView


@dataclass(frozen=True)
class DWA(Reweighting):
    """More weight for the losses whose mean fell least from one window of steps to the next.

    Formula: ``w = K softmax(r / temperature)`` with ``r_k = m_k(t-1) / m_k(t-2)``, the means of
    loss k over the last two windows.
    Shapes: weights ``[K]``; ones in the first two windows.
    Source: Liu, Johns, Davison, CVPR 2019, arXiv 1803.10704, section on dynamic weight average.
    Differs: windows of a fixed number of steps, where the paper has epochs; a mean of 0 has
    ``r = 1``.

    Args:
        temperature: evens the weights out, > 0.
        window: steps per window.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("dwa", window=1, temperature=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> for scale in (2.0, 1.0, 1.0):
    ...     opt.step({"pde": scale * w[0], "bc": w[1]})  # r = (1/2, 1)
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [0.5379, 1.4621]
    """

    temperature: float = 2.0
    window: int = 100

    needs = Needs.LOSSES
    source = "Liu, Johns, Davison 2019 (arXiv 1803.10704)"
    claim = "weights of sum K; equal progress gives equal weights"

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise MethodError(f"expected a finite temperature > 0, found {self.temperature}.")
        check_count("window", self.window)

    def init(self, spec: Spec) -> State:
        zeros = torch.zeros(spec.count, dtype=torch.float64, device="cpu")
        return {
            "weights": torch.ones(spec.count, dtype=spec.dtype, device=spec.device),
            "sum": zeros,
            "mean": zeros.clone(),
            "age": torch.zeros((), dtype=torch.int64, device="cpu"),
        }

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        weights, mean, total, age = (state[k] for k in ("weights", "mean", "sum", "age"))
        if int(age) > 0 and int(age) % self.window == 0:
            new = total / self.window
            if int(age) > self.window:
                rates = torch.where(mean > 0, new / mean, 1.0) / self.temperature
                weights = (view.count * torch.softmax(rates, dim=0)).to(weights)
            mean, total = new, torch.zeros_like(total)
        total = total + view.losses.cpu().double()
        return weights, {"weights": weights, "sum": total, "mean": mean, "age": age + 1}
