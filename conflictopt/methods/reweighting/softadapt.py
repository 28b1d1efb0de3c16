"""Weights from how fast each loss falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.checks import check_count
from ...core.errors import MethodError
from ...core.step import Spec, StepView


@dataclass(frozen=True)
class SoftAdapt(Reweighting):
    """More weight for the losses that fall slowest.

    Formula: every ``window`` steps, ``w = K softmax(beta s)`` with the slope ``s_k = (L_k -
    L_k(window steps ago)) / window``. ``"normalized"``: ``s_k / sum_j |s_j|`` in place of ``s_k``.
    ``"loss_weighted"``: ``w_k`` in proportion to ``L_k e^{beta s_k}``, with the mean of ``L_k``
    over the window.
    Shapes: weights ``[K]``; ones in the first window.
    Source: Heydari, Thompson, Mehmood 2019, arXiv 1912.12355; variants as in its code, 0.0.5.
    Differs: weights sum to K, there to 1, which would divide the learning rate by K at the first
    refresh; the slope is the mean over the window, where the code's finite differences are the
    slope at its oldest point; normalisation by the sum of absolute slopes, where the code divides
    by the signed sum, which turns the order round when losses fall.

    Args:
        beta: how strongly slopes count; negative favours the fastest.
        window: steps between refreshes.
        variant: ``"original"``, ``"normalized"`` or ``"loss_weighted"``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("softadapt", window=1, beta=1.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> opt.step({"pde": 3 * w[0], "bc": w[1]})
    >>> opt.step({"pde": 2 * w[0], "bc": w[1]})      # slopes -1 and 0
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [0.5379, 1.4621]
    """

    beta: float = 0.1
    window: int = 5
    variant: Literal["original", "normalized", "loss_weighted"] = "original"

    needs = Needs.LOSSES
    source = "Heydari, Thompson, Mehmood 2019 (arXiv 1912.12355)"
    claim = "weights of sum K; equal slopes give equal weights"

    def __post_init__(self) -> None:
        if not math.isfinite(self.beta):
            raise MethodError(f"expected a finite beta, found {self.beta}.")
        check_count("window", self.window)
        if self.variant not in ("original", "normalized", "loss_weighted"):
            raise MethodError(
                "expected variant='original', 'normalized' or 'loss_weighted', found "
                f"{self.variant!r}."
            )

    def init(self, spec: Spec) -> State:
        zeros = torch.zeros(spec.count, dtype=torch.float64, device="cpu")
        return {
            "weights": torch.ones(spec.count, dtype=spec.dtype, device=spec.device),
            "before": zeros,
            "sum": zeros.clone(),
            "age": torch.zeros((), dtype=torch.int64, device="cpu"),
        }

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        losses, age = view.losses.cpu().double(), int(state["age"])
        weights, before, total = state["weights"], state["before"], state["sum"] + losses
        if age == 0:
            before, total = losses, torch.zeros_like(total)
        elif age % self.window == 0:
            slopes = (losses - before) / self.window
            weights = self._weights(slopes, total / self.window).to(weights)
            before, total = losses, torch.zeros_like(total)
        after = {"weights": weights, "before": before, "sum": total, "age": state["age"] + 1}
        return weights, after

    def _weights(self, slopes: Tensor, means: Tensor) -> Tensor:
        if self.variant == "normalized":
            size = slopes.abs().sum()
            slopes = slopes / size if size > 0 else slopes
        logits = self.beta * slopes
        if self.variant == "loss_weighted" and bool((means > 0).any()):
            logits = logits + means.clamp_min(0).log()
        return len(slopes) * torch.softmax(logits, dim=0)
