"""Fast adaptive multitask optimisation: equal relative progress, from the losses alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.errors import MethodError
from ...core.step import Spec, StepView
from ..moments import adam, check_rate, moments


@dataclass(frozen=True)
class FAMO(Reweighting):
    """Weights of the logarithms of the losses, learned from how much each fell in the last step.

    Formula: ``w_k = K z_k / L_k / sum_j (z_j / L_j)``, ``z = softmax(xi)``; after a step xi takes a
    step of Adam along ``J^T delta + decay xi`` with ``delta_k = log L_k(t) - log L_k(t + 1)`` and J
    the Jacobian of the softmax: losses that fell little get more weight.
    Shapes: weights ``[K]``.
    Source: Liu, Feng, Stone, Liu, NeurIPS 2023, arXiv 2306.03792, algorithm 2.
    Differs: the losses after a step are those of the next one, on the points of that one, instead
    of another evaluation on the same; times K, so that equal losses begin as the plain sum; losses
    are taken as at least ``least``, since a loss of 0 would take all the weight.

    Args:
        lr: Adam's learning rate for xi.
        decay: gamma, pulls xi to 0, >= 0.
        least: smallest loss that counts, > 0.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), "famo")
    >>> opt.step({"pde": 3 * w[0], "bc": w[1]})      # 2 (1/3) / (1/3 + 1)
    >>> opt.last.coefficients.tolist()
    [0.5, 1.5]
    """

    lr: float = 0.025
    decay: float = 1e-3
    least: float = 1e-12

    needs = Needs.LOSSES
    source = "Liu, Feng, Stone, Liu 2023 (arXiv 2306.03792), algorithm 2"
    claim = "weights of sum K; at equal xi every weighted loss is as large"

    def __post_init__(self) -> None:
        check_rate(self.lr)
        if not 0 <= self.decay < float("inf"):
            raise MethodError(f"expected a finite decay >= 0, found {self.decay}.")
        if not 0 < self.least < float("inf"):
            raise MethodError(f"expected a finite least > 0, found {self.least}.")

    def init(self, spec: Spec) -> State:
        kind = {"dtype": torch.float64, "device": "cpu"}
        zeros = torch.zeros(spec.count, dtype=torch.float64, device="cpu")
        age = torch.zeros((), dtype=torch.int64, device="cpu")
        return {"xi": zeros, "logs": zeros.clone(), "age": age, **moments((spec.count,), **kind)}

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        logs = view.losses.cpu().double().clamp_min(self.least).log()
        xi, first, second, age = (state[k] for k in ("xi", "first", "second", "age"))
        if int(age) > 0:
            z = torch.softmax(xi, dim=0)
            fell = state["logs"] - logs
            slope = z * (fell - (z * fell).sum()) + self.decay * xi
            move, first, second = adam(slope, first, second, int(age), self.lr)
            xi = xi + move
        # z_k / L_k over their sum, in logarithms: losses may differ by any factor
        weights = view.count * torch.softmax(torch.log_softmax(xi, dim=0) - logs, dim=0)
        after = {"xi": xi, "logs": logs, "age": age + 1, "first": first, "second": second}
        return weights.to(dtype=view.spec.dtype, device=view.spec.device), after
