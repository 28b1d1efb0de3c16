"""Dual balancing: between equations and conditions, and among conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.checks import check_count
from ...core.errors import MethodError
from ...core.layout import TRUNK
from ...core.step import Spec, StepView
from ._entry_statistics import entries, spread
from ._periodic import within


@dataclass(frozen=True)
class DBPINN(Reweighting):
    """Balance conditions with the equations by gradient statistics, and share by difficulty.

    Formula: at the n-th refresh, over the conditions k, ``Lambda = sum_k q(g_eq) / q(w_k g_k)``;
    ``t_k = Lambda d_k / sum_j d_j`` with the difficulty ``d_k = L_k / mean of L_k over refreshes``;
    ``w_k <- w_k + (t_k - w_k) / n``. Equations keep 1. Statistic q: ``"mean"``: the largest
    ``|g_eq|`` over the mean ``|w_k g_k|``; ``"std"``: standard deviations of ``g_eq`` and ``g_k``;
    ``"kurtosis"``: standard deviation over kurtosis.
    Shapes: weights ``[K]``; statistics over the network's parameters that a loss reaches.
    Source: Zhou et al., IJCAI 2025, arXiv 2505.11117, in the form of its code.
    Differs: several equations count as one, by the sum of their gradients; a condition without
    gradient or loss takes no part and keeps its weight; ``t_k`` is bounded by ``cap`` (a single
    infinite value would stay in the running mean for ever).

    Args:
        refresh: steps between refreshes.
        cap: every ``t_k`` is kept in ``[1 / cap, cap]``.
        statistic: ``"mean"``, ``"std"`` or ``"kurtosis"``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), "db_pinn")
    >>> opt.step({"pde": 3 * w[0] + w[1], "bc": w.mean()})      # max 3, mean 0.5
    >>> opt.last.coefficients.tolist()
    [1.0, 6.0]
    """

    refresh: int = 100
    cap: float = 1e3
    statistic: Literal["mean", "std", "kurtosis"] = "mean"

    needs = Needs.ROWS
    source = "Zhou et al. 2025 (arXiv 2505.11117)"
    claim = "weights of the conditions sum to the ratio of gradient statistics, averaged over time"
    passes = "1 + (K - 1) / refresh"

    def __post_init__(self) -> None:
        check_count("refresh", self.refresh)
        if not self.cap >= 1:
            raise MethodError(f"expected cap >= 1, found {self.cap}.")
        if self.statistic not in ("mean", "std", "kurtosis"):
            raise MethodError(
                f"expected statistic='mean', 'std' or 'kurtosis', found {self.statistic!r}."
            )

    def bound(self, count: int) -> float:
        return self.cap

    def init(self, spec: Spec) -> State:
        kind = {"dtype": torch.float64, "device": "cpu"}
        return {
            "weights": torch.ones(spec.count, dtype=torch.float64, device="cpu"),
            "mean": torch.zeros(spec.count, **kind),  # type: ignore[call-overload]
            "refreshes": torch.zeros((), dtype=torch.int64, device="cpu"),
            "age": torch.zeros((), dtype=torch.int64, device="cpu"),
        }

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        after = dict(state)
        if int(state["age"]) % self.refresh == 0 and not all(view.spec.equations):
            n = state["refreshes"] + 1
            ratio = self._ratios(view, state["weights"])
            losses = view.losses.cpu().double()
            mean = state["mean"] + (losses - state["mean"]) / n
            active = ratio.isfinite() & (ratio > 0) & (mean > 0)
            share = torch.where(active, losses / mean, 0.0)
            target = torch.where(active, ratio, 0.0).sum() * share / share.sum()
            target = torch.where(active & target.isfinite(), target, state["weights"])
            target = within(view, target, self.cap)
            weights = state["weights"] + (target - state["weights"]) / n
            after.update(weights=weights, mean=mean, refreshes=n)
        after["age"] = state["age"] + 1
        weights = after["weights"].to(dtype=view.spec.dtype, device=view.spec.device)
        return weights, after

    def _ratios(self, view: StepView, weights: Tensor) -> Tensor:
        """``[K]`` statistic of the equations over that of each condition; NaN for equations."""
        equations = view.spec.equations
        chosen = [k for k, e in enumerate(equations) if e]
        if not chosen:
            return torch.full((view.count,), math.nan, dtype=torch.float64, device="cpu")
        touched = torch.stack([view.touched_columns(k, TRUNK) for k in chosen]).any(dim=0)
        reference = view.rows(TRUNK)[chosen].sum(dim=0)[touched].cpu().double()
        above = (
            float(reference.abs().max()) if self.statistic == "mean" else self._spread(reference)
        )
        ratios = [math.nan] * view.count
        for k, g in enumerate(entries(view, TRUNK)):
            if equations[k] or len(g) < 2:
                continue
            mean = float(weights[k] * g.abs().mean())
            below = mean if self.statistic == "mean" else self._spread(g)
            ratios[k] = above / below if below > 0 else math.nan
        return torch.tensor(ratios, dtype=torch.float64, device="cpu")

    def _spread(self, g: Tensor) -> float:
        std = spread(g)
        if self.statistic == "std" or std == 0:
            return std
        return std / float((((g - g.mean()) / std) ** 4).mean())
