"""Self-adaptive weights of collocation points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import State
from ...core.errors import MethodError
from ...core.points import PointSet, PointSets, PointWeights
from ...core.reports import Reporter, unheard
from ...core.step import Spec
from ..moments import adam, check_rate
from ._carried_points import CarriedPointWeights


@dataclass(frozen=True)
class SAPINN(CarriedPointWeights):
    """Point weights that ascend on the loss while the network descends on it.

    Formula: ``max_l mean_n m(l_n) r_n^2``; one Adam step on every l per step. Mask ``"square"``:
    ``m(l) = l^2``; ``"sigmoid"``: ``m(l) = 1 / (1 + e^{-l})``.
    Shapes: weights ``[N, m]`` per residual, in the state; coefficients ``[K]`` ones.
    Source: McClenny, Braga-Neto, J. Comput. Phys. 474 (2023), arXiv 2009.04544, with the mask of
    its code; the sigmoid as in PINA.
    Differs: every l begins at ``start_level``, where the authors draw it at random, with a scale
    per loss that they choose by problem (1 to 100); Adam has its default decay rates; ``m(l)`` is
    bounded by ``cap``. Weights stay with their points through resampling.

    Args:
        on: see ``CarriedPointWeights``.
        lr: Adam's learning rate for l.
        mask: ``"square"`` or ``"sigmoid"``.
        start_level: l before the first step; above 0 with ``"square"``, where 0 never moves.
        cap: largest weight; ``math.inf`` for none.

    Raises:
        MethodError: bad hyper-parameters; at run time, losses without residuals.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> method = conflictopt.make("sa_pinn", lr=1.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> for _ in range(2):
    ...     r = torch.stack([w[0], 0 * w[0]])
    ...     opt.step({"pde": r.square().mean()}, residuals={"pde": r})
    >>> levels = opt.session.state["pde/0/level"].flatten()  # Adam's steps of 1, where r is not 0
    >>> [round(x, 1) for x in levels.tolist()]
    [3.0, 1.0]
    """

    lr: float = 5e-3
    mask: Literal["square", "sigmoid"] = "square"
    start_level: float = 1.0
    cap: float = 1e4

    source = "McClenny, Braga-Neto 2023 (arXiv 2009.04544)"
    claim = "weights never fall, and rise with the residual of their point"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self.lr)
        if self.mask not in ("square", "sigmoid"):
            raise MethodError(f"expected mask='square' or 'sigmoid', found {self.mask!r}.")
        if not math.isfinite(self.start_level) or (self.mask == "square" and self.start_level <= 0):
            raise MethodError(
                "expected a finite start_level, above 0 with mask='square', found "
                f"{self.start_level}."
            )
        if not self.cap > 0:
            raise MethodError(f"expected cap > 0, found {self.cap}.")

    def bound(self, count: int) -> float:
        return max(1.0, self.cap)

    def weigh(
        self, spec: Spec, sets: PointSets, state: State, report: Reporter = unheard
    ) -> tuple[PointWeights, State]:
        weights, after = super().weigh(spec, sets, state, report)
        held = [n for n, ws in weights.items() if any(bool((w >= self.cap).any()) for w in ws)]
        if held:
            report("cap", f"weights of points are kept below {self.cap:.3g}: {', '.join(held)}.")
        return weights, after

    def start(self, residuals: Tensor) -> dict[str, Tensor]:
        zeros = torch.zeros_like(residuals)
        level = torch.full_like(residuals, self.start_level)
        return {"level": level, "first": zeros, "second": zeros.clone()}

    def advance(
        self, found: PointSet, memory: dict[str, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        level, residuals = memory["level"], found.residuals
        if self.mask == "square":
            weights, slope = level.square(), 2 * level
        else:
            weights = torch.sigmoid(level)
            slope = weights * (1 - weights)
        ascent = -found.weight / residuals.numel() * slope * residuals.square()
        move, first, second = adam(ascent, memory["first"], memory["second"], step, self.lr)
        # momentum would still lift a point whose residual is exactly 0
        move = torch.where(residuals == 0, torch.zeros_like(move), move)
        return weights.clamp_max(self.cap), {
            "level": level + move,
            "first": first,
            "second": second,
        }
