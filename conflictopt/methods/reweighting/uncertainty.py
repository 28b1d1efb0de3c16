"""Weights learned as the precision of each loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.errors import MethodError
from ...core.step import Spec, StepView
from ..moments import adam, check_rate, moments


@dataclass(frozen=True)
class Uncertainty(Reweighting):
    """Treat each loss as a Gaussian likelihood and learn its variance beside the network.

    Formula: ``min_s sum_k e^{-s_k} L_k / 2 + s_k / 2``: weights ``w_k = e^{-s_k} / 2``; one Adam
    step on ``s = log sigma^2`` per step, from ``start``. Stationary at ``e^{-s_k} L_k = 1``.
    Shapes: weights ``[K]``.
    Source: Kendall, Gal, Cipolla, CVPR 2018, arXiv 1705.07115 (its form for regression).
    Differs: s has an Adam of its own, where the authors give it to the network's optimizer;
    weights are bounded by ``cap``, because a loss that goes to 0 would draw ever more; a single
    loss keeps weight 1. It begins at half the plain sum: with SGD half the learning rate.

    Args:
        lr: Adam's learning rate for s.
        start: s before the first step, in [-100, 100].
        cap: largest weight; ``math.inf`` for none.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), "uncertainty")
    >>> opt.step({"pde": 3 * w[0], "bc": w[1]})
    >>> opt.last.coefficients.tolist()
    [0.5, 0.5]
    """

    lr: float = 1e-3
    start: float = 0.0
    cap: float = 1e6

    needs = Needs.LOSSES
    source = "Kendall, Gal, Cipolla 2018 (arXiv 1705.07115)"
    claim = "at rest every weighted loss is 1/2"

    def __post_init__(self) -> None:
        check_rate(self.lr)
        if not abs(self.start) <= 100:
            raise MethodError(f"expected start in [-100, 100], found {self.start}.")
        if not self.cap >= 0.5 * math.exp(-self.start):
            raise MethodError(
                f"expected a cap of at least the first weight, {0.5 * math.exp(-self.start):.3g}, "
                f"found {self.cap}."
            )

    def bound(self, count: int) -> float:
        return max(self.cap, 1.0)

    def init(self, spec: Spec) -> State:
        logs = torch.full((spec.count,), self.start, dtype=torch.float64, device="cpu")
        age = torch.zeros((), dtype=torch.int64, device="cpu")
        start = moments((spec.count,), dtype=torch.float64, device="cpu")
        return {"log_variance": logs, "age": age, **start}

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if view.count == 1:
            return view.ones(), state
        logs = state["log_variance"]
        weights = torch.exp(-logs) / 2
        slope = 0.5 - weights * view.losses.cpu().double()
        age = state["age"] + 1
        move, first, second = adam(slope, state["first"], state["second"], int(age), self.lr)
        logs = logs + move
        bounded = logs.clamp_min(-math.log(2 * self.cap))
        if not torch.equal(bounded, logs):
            view.report("cap", f"weights are kept below {self.cap:.3g}.")
        after = {"log_variance": bounded, "age": age, "first": first, "second": second}
        return weights.to(dtype=view.spec.dtype, device=view.spec.device), after
