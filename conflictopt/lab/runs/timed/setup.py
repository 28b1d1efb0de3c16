"""What a run trains, and on what: the same for every optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...problems.assembly import Derive
from ...problems.objective import Equations, EquationsObjective
from ...problems.points import RunPoints
from ...problems.problem import Mode, Problem, derivatives_of
from ..budget import Budget

_APART = 1000
"""Between the seeds of two sets of points of one run: more than between those of two runs."""


@dataclass(frozen=True, eq=False)
class Setup:
    """Points, network and unknowns at the start of a run.

    Attributes:
        problem: what is trained.
        equations: its losses at all points that steps may use.
        points: of the run.
        noted: its losses at these, for the record.
        net, unknowns: what is trained for it.
        mode: how the network is differentiated, see ``derivatives_of``.
        derive: its derivatives.
    """

    problem: Problem
    equations: Equations
    points: RunPoints
    noted: Equations
    net: nn.Module
    unknowns: Mapping[str, nn.Parameter]
    mode: Mode
    derive: Derive

    @classmethod
    def of(
        cls,
        problem: Problem,
        seed: int,
        budget: Budget,
        dtype: torch.dtype = torch.float32,
        mode: Mode = "taylor",
        pool: int = 1,
    ) -> Setup:
        """That of a plain run, which depends on problem, seed and budget alone.

        Args:
            dtype: of equations, network and unknowns; the weights are the same, rounded to it.
            pool: times the points of the run, where there are as many as one likes.
        """
        own = problem.counts(budget.small_points, budget.point_scale)
        pooled = problem.counts(budget.small_points, budget.point_scale * pool)
        counts = {n: own[n] if n in problem.measured else pooled[n] for n in own}
        sizes = problem.sizes(budget.width(problem.spec.network.width))
        net = problem.network(sizes, seed, dtype)
        points = problem.draw(own, seed)
        noted = problem.losses(points, dtype)
        equations = problem.losses(problem.draw(counts, seed), dtype) if pool > 1 else noted
        unknowns = problem.unknowns(dtype)
        derive = derivatives_of(net, mode)
        return cls(problem, equations, points, noted, net, unknowns, mode, derive)

    @property
    def parameters(self) -> list[Tensor]:
        """Those of the network and the unknowns."""
        return [*self.net.parameters(), *self.unknowns.values()]

    def redrawn(self, seed: int, budget: Budget) -> Equations:
        """Its losses at other points; measurements stay what they are.

        Args:
            seed: of the points; another one than the run's.
            budget: of the run.
        """
        counts = self.problem.counts(budget.small_points, budget.point_scale)
        drawn = self.problem.draw(counts, seed).blocks
        own, measured = self.points.blocks, self.problem.measured
        blocks = {key: own[key] if key[0] in measured else drawn[key] for key in drawn}
        return self.problem.losses(RunPoints(blocks), next(self.net.parameters()).dtype)

    def sets(self, count: int, seed: int, budget: Budget) -> list[Equations]:
        """Its losses at so many sets of points, its own first.

        Args:
            count: of the sets.
            seed, budget: of the run.
        """
        others = [self.redrawn(seed + _APART * k, budget) for k in range(1, count)]
        return [self.equations, *others]

    def objective(self) -> EquationsObjective:
        """The losses of one step."""
        return self.equations.at(self.derive, self.unknowns)

    @torch.no_grad()
    def losses(self) -> tuple[float, ...]:
        """The K losses at the run's points and the present parameters."""
        found = self.noted.at(self.derive, self.unknowns).together()
        totals = dict.fromkeys(range(found.count), 0.0)
        for group, value in zip(found.groups, found.numbers, strict=True):
            totals[group] += value
        return tuple(totals.values())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within it the parameters may change: after it they are what they were."""
        present = [p.detach().clone() for p in self.parameters]
        try:
            yield
        finally:
            with torch.no_grad():
                for p, value in zip(self.parameters, present, strict=True):
                    p.copy_(value)

    def copy(self) -> Setup:
        """Another network and other unknowns with the present values, at the same points."""
        net = deepcopy(self.net)
        unknowns = {name: deepcopy(p) for name, p in self.unknowns.items()}
        return replace(self, net=net, unknowns=unknowns, derive=derivatives_of(net, self.mode))
