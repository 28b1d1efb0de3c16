"""The frame that periodically refreshed, smoothed and bounded weights share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Reweighting, State
from ...core.checks import check_count
from ...core.errors import MethodError
from ...core.step import Spec, StepView


def within(view: StepView, target: Tensor, cap: float) -> Tensor:
    """Weights kept in ``[1 / cap, cap]``; reported when that changes them."""
    bounded = target.clamp(1 / cap, cap)
    changed = (bounded != target).tolist()
    if any(changed):
        names = zip(view.spec.names, target.tolist(), changed, strict=True)
        listed = ", ".join(f"{value:.3g} for '{n}'" for n, value, c in names if c)
        view.report("cap", f"weights are kept in [{1 / cap:.3g}, {cap:.3g}], found {listed}.")
    return bounded


@dataclass(frozen=True)
class PeriodicReweighting(Reweighting):
    """Weights ``w <- m * w + (1 - m) * target`` every ``refresh`` steps, starting from ones.

    Attributes:
        momentum: m, in [0, 1).
        refresh: steps between refreshes; the first step of the method is one.
        cap: every target is kept in ``[1 / cap, cap]``, so that a loss that has become small
            cannot draw ever more weight. ``math.inf`` lifts the bound.
    """

    momentum: float = 0.9
    refresh: int = 100
    cap: float = 1e6

    passes = "1 + (K - 1) / refresh"

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise MethodError(f"expected momentum in [0, 1), found {self.momentum}.")
        check_count("refresh", self.refresh)
        if not self.cap >= 1:
            raise MethodError(f"expected cap >= 1, found {self.cap}.")

    def bound(self, count: int) -> float:
        return self.cap

    @abstractmethod
    def target(self, view: StepView, weights: Tensor) -> Tensor:
        """``[K]`` float64 weights for this step; NaN or inf mark a loss without gradient."""

    def init(self, spec: Spec) -> State:
        return {
            "weights": torch.ones(spec.count, dtype=spec.dtype, device=spec.device),
            "age": torch.zeros((), dtype=torch.int64, device="cpu"),
        }

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        weights, age = state["weights"], state["age"]
        if int(age) % self.refresh == 0:
            target = self.target(view, weights.detach().cpu().double())
            # A loss without gradient is inactive: no ratio is defined, and none is needed.
            target = torch.where(target.isfinite(), target, torch.ones_like(target))
            bounded = within(view, target, self.cap).to(weights)
            weights = self.momentum * weights + (1 - self.momentum) * bounded
        return weights, {"weights": weights, "age": age + 1}
