"""The training loop of a run, whose method may be chosen on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ...adapters import AdapterDesign, attach, attached
from ...auto.host import HeldOut
from ...auto.snapshot import Snapshot
from ...optim.optimizer import MultiLossOptimizer
from ...selection.design import design_of
from ...selection.plan import Plan
from ..problems.objective import Equations
from ..problems.problem import Problem, derivatives_of

HELD_OUT_SEED = 1_000_003
"""Added to a run's seed for the points on which races are judged: as many, drawn anew."""


class RunHost:
    """Takes the steps of a run, alone or in a race.

    Args:
        problem: what is trained.
        equations: its losses at the run's points.
        net, unknowns: what is trained for it.
        optimizer: of both.
        schedule: of the learning rate, with ``step``.
        counts: number of points per loss.
        seed: of the run.
        design: of the adapters that plans attach.
    """

    def __init__(
        self,
        problem: Problem,
        equations: Equations,
        net: nn.Module,
        unknowns: Mapping[str, Tensor],
        optimizer: MultiLossOptimizer,
        schedule: Any,
        counts: Mapping[str, int],
        seed: int,
        design: AdapterDesign,
    ) -> None:
        self.net = net
        self._problem, self._equations, self._unknowns = problem, equations, unknowns
        self._optimizer, self._schedule = optimizer, schedule
        self._counts, self._seed, self._design = counts, seed, design
        self._derive = derivatives_of(net)
        self._apart: Equations | None = None

    @property
    def optimizer(self) -> MultiLossOptimizer:
        """The optimizer of the run."""
        return self._optimizer

    def warm_up(self) -> None:
        """Evaluate once, and change nothing: what a process sets up once is no method's time."""
        objective = self._equations.at(self._derive, self._unknowns)
        objective.together().total().backward()  # type: ignore[no-untyped-call]
        self._optimizer.zero_grad()

    def advance(self, steps: int) -> None:
        """Take optimizer steps, and those of the schedule."""
        for _ in range(steps):
            self._optimizer.step(self._equations.at(self._derive, self._unknowns))
            self._schedule.step()

    def attach(self, plan: Plan) -> int:
        """See ``Host``."""
        if attached(self.net) is not None:
            return 0
        return self.attach_design(design_of(plan, self._design))

    def attach_design(self, design: AdapterDesign) -> int:
        """Attach adapters and train them too; returns the number of scalars in them."""
        adapters = attach(self.net, self._problem.loss_names, design, seed=self._seed)
        self._optimizer.add_adapters(adapters)
        return sum(adapters.count_parameters().values())

    def snapshot(self) -> Snapshot:
        """See ``RacingHost``."""
        return Snapshot(self._optimizer, self.net, self._schedule)

    def held_out(self) -> HeldOut:
        """The losses at points of another seed, as many as those of the run."""
        problem = self._problem
        if self._apart is None:
            points = problem.draw(self._counts, self._seed + HELD_OUT_SEED)
            self._apart = problem.losses(points)
        found = self._apart.at(self._derive, self._unknowns).together()
        values = dict(zip(problem.loss_names, found.values(), strict=True))
        conditions = tuple(n for n in problem.loss_names if n not in problem.equations)
        return HeldOut(values, conditions)
