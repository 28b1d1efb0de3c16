"""Relative loss balancing with random lookback."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.errors import MethodError
from ...core.step import Spec, StepView


@dataclass(frozen=True)
class ReLoBRaLo(Reweighting):
    """More weight for losses that fell least since the last step, now and then since the first.

    Formula: ``b_k(t, t') = K softmax_k(L_k(t) / (temperature L_k(t')))``;
    ``w(t) = alpha (r w(t-1) + (1 - r) b(t, 0)) + (1 - alpha) b(t, t-1)`` with r = 1 with
    probability ``rho``, else 0, drawn at each step. ``w(0) = 1``; ``w(1) = b(1, 0)``.
    Shapes: weights ``[K]``.
    Source: Bischof, Kraus, arXiv 2110.09813; defaults as in the class that the author published.
    Differs: a loss that was 0 counts as unchanged (the code's epsilon gives it all weight;
    elsewhere NaN).

    Args:
        alpha: share of the past, in [0, 1].
        temperature: evens the weights out, > 0.
        rho: probability of no lookback, in [0, 1].

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("relobralo", temperature=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> for scale in (2.0, 1.0):
    ...     opt.step({"pde": scale * w[0], "bc": w[1]})  # ratios 1/2 and 1
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [0.5379, 1.4621]
    """

    alpha: float = 0.999
    temperature: float = 0.1
    rho: float = 0.99

    needs = Needs.LOSSES
    source = "Bischof, Kraus 2021 (arXiv 2110.09813)"
    claim = "weights of sum K; equal progress leaves them at 1"

    def __post_init__(self) -> None:
        for name in ("alpha", "rho"):
            if not 0 <= getattr(self, name) <= 1:
                raise MethodError(f"expected {name} in [0, 1], found {getattr(self, name)}.")
        if not 0 < self.temperature < float("inf"):
            raise MethodError(f"expected a finite temperature > 0, found {self.temperature}.")

    def init(self, spec: Spec) -> State:
        zeros = torch.zeros(spec.count, dtype=torch.float64, device="cpu")
        return {
            "weights": torch.ones(spec.count, dtype=torch.float64, device="cpu"),
            "first": zeros,
            "before": zeros.clone(),
            "age": torch.zeros((), dtype=torch.int64, device="cpu"),
        }

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        losses, age = view.losses.cpu().double(), int(state["age"])
        weights, first = state["weights"], state["first"]
        if age == 0:
            first = losses
        elif age == 1:
            weights = self._balance(losses, first)
        else:
            draw = torch.rand((), generator=view.generator, dtype=torch.float32, device="cpu")
            past = weights if float(draw) < self.rho else self._balance(losses, first)
            weights = torch.lerp(self._balance(losses, state["before"]), past, self.alpha)
        after = {"weights": weights, "first": first, "before": losses, "age": state["age"] + 1}
        return weights.to(dtype=view.spec.dtype, device=view.spec.device), after

    def _balance(self, losses: Tensor, earlier: Tensor) -> Tensor:
        ratio = torch.where(earlier != 0, losses / earlier, 1.0)
        return len(losses) * torch.softmax(ratio / self.temperature, dim=0)
