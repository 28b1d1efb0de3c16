"""Causal weights in time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import PointReweighting, State
from ...core.checks import check_count
from ...core.errors import MethodError
from ...core.points import PointSet, PointSets, PointWeights
from ...core.reports import Reporter, unheard
from ...core.step import Spec


@dataclass(frozen=True)
class Causal(PointReweighting):
    """Weight the equations at a time by how well they are solved at all earlier times.

    Formula: with the points of the equations in chunks i by time, ``w_i = exp(-tolerance sum_{j<i}
    L_j)``, ``L_j`` the mean squared residual of chunk j, summed over the equations; every point of
    chunk i has weight ``w_i``, without gradient.
    Shapes: weights ``[N, m]`` per residual of an equation, 1 for conditions; coefficients ``[K]``
    ones.
    Source: Wang, Sankaran, Perdikaris, Comput. Methods Appl. Mech. Eng. 421 (2024),
    arXiv 2203.07404; chunks and default tolerance as in jaxpi.
    Differs: chunks hold equally many points of each residual, at any times, but points of one time
    share a chunk (on a grid of few times some chunks are empty); jaxpi needs a batch that divides.
    Equations are summed, as in the paper's code (jaxpi takes the smallest
    weight among them). The tolerance is fixed; the paper raises it as the weights approach 1.

    Args:
        tolerance: how well earlier times must be solved, > 0.
        chunks: number of chunks, at least 2.
        time: which coordinate of the points is time; -1 is the last, as in DeepXDE.

    Raises:
        MethodError: bad hyper-parameters; at run time, losses without residuals, equations without
            points or with fewer points than chunks.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> t = torch.tensor([[0.0], [1.0]])
    >>> method = conflictopt.make("causal", chunks=2)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), method)
    >>> r = torch.stack([w[0], w[0]])                # w_0 = 1, w_1 = exp(-1)
    >>> opt.step({"pde": r.square().mean()}, residuals={"pde": r}, points={"pde": t})
    >>> round(1 - w.item(), 4)                       # (2 + 2 exp(-1)) / 2
    1.3679
    """

    tolerance: float = 1.0
    chunks: int = 16
    time: int = -1

    source = "Wang, Sankaran, Perdikaris 2024 (arXiv 2203.07404)"
    claim = "weights fall with time, and all approach 1 as the equations are solved"

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < float("inf"):
            raise MethodError(f"expected a finite tolerance > 0, found {self.tolerance}.")
        check_count("chunks", self.chunks)
        if self.chunks < 2:
            raise MethodError("expected at least 2 chunks, found 1: a single one has weight 1.")
        if isinstance(self.time, bool) or not isinstance(self.time, int):
            raise MethodError(f"expected time as the number of a coordinate, found {self.time!r}.")

    def bound(self, count: int) -> float:
        return 1.0

    def weighs(self, spec: Spec) -> list[str]:
        return [n for n, e in zip(spec.names, spec.equations, strict=True) if e]

    def weigh(
        self, spec: Spec, sets: PointSets, state: State, report: Reporter = unheard
    ) -> tuple[PointWeights, State]:
        weights: PointWeights = {}
        equations = self.weighs(spec)
        places = {n: [self._chunk_of(n, s) for s in sets[n]] for n in equations}
        total = torch.zeros(self.chunks, dtype=torch.float64, device="cpu")
        for n in equations:
            for s, place in zip(sets[n], places[n], strict=True):
                total += self._means(s.residuals, place).cpu().double()
        of_chunk = torch.exp(-self.tolerance * (total.cumsum(dim=0) - total))
        for n in equations:
            weights[n] = tuple(
                of_chunk.to(s.residuals)[place][:, None].expand_as(s.residuals)
                for s, place in zip(sets[n], places[n], strict=True)
            )
        return weights, state

    def _chunk_of(self, name: str, found: PointSet) -> Tensor:
        """``[N]`` per point the number of its chunk."""
        x = found.points
        if x is None:
            raise MethodError(
                f"causal weights need the points of the equation '{name}', one for each row of its "
                f"residual. In a torch loop pass step(losses, residuals, points={{'{name}': x}})."
            )
        if not -x.shape[1] <= self.time < x.shape[1]:
            raise MethodError(
                f"expected time as one of the {x.shape[1]} coordinates of '{name}', found "
                f"{self.time}."
            )
        if len(x) < self.chunks:
            raise MethodError(
                f"expected at least {self.chunks} points of '{name}', one per chunk, found "
                f"{len(x)}."
            )
        times = x[:, self.time].contiguous()
        earlier = torch.searchsorted(times.sort().values, times)
        return earlier * self.chunks // len(x)

    def _means(self, residuals: Tensor, place: Tensor) -> Tensor:
        """``[chunks]`` mean squared residual of every chunk."""
        squares = residuals.square().mean(dim=1)
        total = squares.new_zeros(self.chunks).index_add_(0, place, squares)
        return total / torch.bincount(place, minlength=self.chunks).clamp_min(1)
