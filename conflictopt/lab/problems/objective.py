"""The losses of a problem for one step, evaluated in one pass or each on its own points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...core.losses import Losses
from ...core.objective import Objective
from .assembly import Assembly, Derive, ResidualTask
from .batches import Batches
from .points import RunPoints
from .solution import Solution
from .spec import ProblemSpec


class Equations:
    """The losses of a problem at the points of a run, ready to be evaluated.

    Args:
        spec: the problem.
        solution: its exact solution.
        points: of the run.
        dtype: of the computation.

    Attributes:
        names: the K loss names.
    """

    def __init__(
        self, spec: ProblemSpec, solution: Solution, points: RunPoints, dtype: torch.dtype
    ) -> None:
        self.names = tuple(loss.name for loss in spec.losses)
        tasks = [
            [ResidualTask(loss.name, m, points.blocks[loss.name, m.place]) for m in loss.members]
            for loss in spec.losses
        ]
        self._groups = tuple(k for k, own in enumerate(tasks) for _ in own)
        self._entries = {
            name: [i for i, g in enumerate(self._groups) if g == k]
            for k, name in enumerate(self.names)
        }
        every = [task for own in tasks for task in own]
        self.whole = Batches(spec, solution, every, dtype)
        self.parts = tuple(Assembly(spec, solution, own, dtype) for own in tasks)
        self._points = {
            name: tuple(part.points_of(i) for i in range(len(part.tasks)))
            for name, part in zip(self.names, self.parts, strict=True)
        }

    def at(self, derive: Derive, unknowns: Mapping[str, Tensor]) -> EquationsObjective:
        """The losses of one step.

        Args:
            derive: the network's derivatives.
            unknowns: the present values of the unknowns.
        """
        return EquationsObjective(self, derive, unknowns)

    def losses(self, residuals: Sequence[Tensor], apart: bool) -> Losses:
        """Named losses from the residual of every member."""
        terms = tuple(r.square().mean() for r in residuals)
        pairs = {n: tuple((residuals[i], 1.0) for i in own) for n, own in self._entries.items()}
        graphs = self._groups if apart else None
        return Losses(self.names, terms, self._groups, pairs, self._points, graphs)


class EquationsObjective(Objective):
    """The losses of one step; evaluated when they are asked for."""

    together_because = None

    def __init__(
        self, equations: Equations, derive: Derive, unknowns: Mapping[str, Tensor]
    ) -> None:
        self.names = equations.names
        self._equations = equations
        self._derive = derive
        self._unknowns = unknowns
        self._together: Losses | None = None

    def together(self, residuals: bool = False) -> Losses:
        if self._together is None:
            found = self._equations.whole.residuals(self._derive, self._unknowns)
            self._together = self._equations.losses(found, apart=False)
        return self._together

    def apart(self, by_loss: bool, residuals: bool = False) -> Losses | None:
        if not by_loss:
            return None
        found = [
            r
            for part in self._equations.parts
            for r in part.residuals(self._derive, self._unknowns)
        ]
        return self._equations.losses(found, apart=True)
