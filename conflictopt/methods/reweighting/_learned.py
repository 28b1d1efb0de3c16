"""The frame that weights which are learned beside the network share."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Reweighting, State
from ...core.errors import MethodError
from ...core.step import Spec, StepView
from ..moments import adam, check_rate, moments


@dataclass(frozen=True)
class LearnedReweighting(Reweighting):
    """Weights ``w = K softmax(s)``, with s moved by one Adam step after every optimizer step.

    Attributes:
        lr: Adam's learning rate for s.
        cap: the largest ratio of two weights: s is kept in ``[-log(cap) / 2, log(cap) / 2]``.
            ``math.inf`` lifts the bound.
    """

    lr: float = 1e-3
    cap: float = 1e4

    def __post_init__(self) -> None:
        check_rate(self.lr)
        if not self.cap >= 1:
            raise MethodError(f"expected cap >= 1, found {self.cap}.")

    @abstractmethod
    def slope(self, view: StepView, weights: Tensor, state: State) -> Tensor:
        """``[K]`` float64 derivative of what the weights minimise, for the weights."""

    def remember(self, view: StepView, state: State) -> State:
        """State of the subclass before this step; by default as it is."""
        return state

    def init(self, spec: Spec) -> State:
        kind = {"dtype": torch.float64, "device": "cpu"}
        age = torch.zeros((), dtype=torch.int64, device="cpu")
        logits = torch.zeros(spec.count, dtype=torch.float64, device="cpu")
        return {"logits": logits, "age": age, **moments((spec.count,), **kind)}

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        state = self.remember(view, state)
        count = view.count
        weights = count * torch.softmax(state["logits"], dim=0)
        slope = self.slope(view, weights, state)
        # through the softmax: dw_j / ds_i = w_j (delta_ij - w_i / K)
        slope = weights * (slope - (weights * slope).sum() / count)
        age = state["age"] + 1
        move, first, second = adam(slope, state["first"], state["second"], int(age), self.lr)
        logits = state["logits"] + move
        # a common drift changes no weight, and must not run into the bound
        logits = logits - (logits.max() + logits.min()) / 2
        bounded = logits.clamp(-math.log(self.cap) / 2, math.log(self.cap) / 2)
        if not torch.equal(bounded, logits):
            view.report("cap", f"the ratio of two weights is kept below {self.cap:.3g}.")
        after = {**state, "logits": bounded, "age": age, "first": first, "second": second}
        return weights.to(dtype=view.spec.dtype, device=view.spec.device), after


@dataclass(frozen=True)
class RateReweighting(LearnedReweighting):
    """Learns weights that bring weighted sizes to a level, times how far each loss lags behind.

    ``min_w sum_k | w_k q_k - M r_k^alpha |`` with ``r_k = (L_k / L_k(0)) / mean_j (L_j / L_j(0))``;
    the level M and ``r_k`` are held fixed.

    Attributes:
        alpha: exponent of the rates, >= 0.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha < float("inf"):
            raise MethodError(f"expected a finite alpha >= 0, found {self.alpha}.")

    @abstractmethod
    def sizes(self, view: StepView) -> Tensor:
        """``[K]`` float64 the q."""

    @abstractmethod
    def level(self, sizes: Tensor, weights: Tensor) -> Tensor:
        """M."""

    def init(self, spec: Spec) -> State:
        initial = torch.zeros(spec.count, dtype=torch.float64, device="cpu")
        return {**super().init(spec), "initial": initial}

    def remember(self, view: StepView, state: State) -> State:
        self.sizes(view)  # before the losses: gradients then come from the same evaluation
        if int(state["age"]) > 0:
            return state
        return {**state, "initial": view.losses.cpu().double()}

    def slope(self, view: StepView, weights: Tensor, state: State) -> Tensor:
        sizes, losses = self.sizes(view), view.losses.cpu().double()
        aim = self.level(sizes, weights) * relative_rates(losses, state["initial"]) ** self.alpha
        difference = weights * sizes - aim
        equal = difference.abs() <= 1e-12 * aim.abs()
        return torch.where(equal, 0.0, difference.sign()) * sizes


def relative_rates(losses: Tensor, initial: Tensor) -> Tensor:
    """``(L_k / L_k(0)) / mean_j (L_j / L_j(0))``, at least 0; 1 for a loss that began at 0."""
    ratio = torch.where(initial > 0, losses / initial, 1.0).clamp_min(0)
    mean = ratio.mean()
    return ratio / mean if mean > 0 else torch.ones_like(ratio)
