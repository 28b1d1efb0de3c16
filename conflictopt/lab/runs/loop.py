"""The training loop of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ...adapters import AdapterDesign
from ...auto.host import LoopHost
from ...optim.optimizer import MultiLossOptimizer
from ..problems.objective import Equations
from ..problems.problem import Problem, derivatives_of


class RunLoop:
    """Takes the steps of a run.

    Args:
        problem: what is trained.
        equations: its losses at the run's points.
        net, unknowns: what is trained for it.
        optimizer: of both.
        schedule: of the learning rate, with ``step``.
        host: attaches adapters to the network.
    """

    def __init__(
        self,
        problem: Problem,
        equations: Equations,
        net: nn.Module,
        unknowns: Mapping[str, Tensor],
        optimizer: MultiLossOptimizer,
        schedule: Any,
        host: LoopHost,
    ) -> None:
        self._problem, self._equations, self._unknowns = problem, equations, unknowns
        self._schedule, self._host = schedule, host
        self._derive = derivatives_of(net)
        self.optimizer = optimizer

    def warm_up(self) -> None:
        """Evaluate once, and change nothing: what a process sets up once is no method's time."""
        objective = self._equations.at(self._derive, self._unknowns)
        objective.together().total().backward()  # type: ignore[no-untyped-call]
        self.optimizer.zero_grad()

    def advance(self) -> None:
        """Take a step of the optimizer, and one of the schedule."""
        self.optimizer.step(self._equations.at(self._derive, self._unknowns))
        self._schedule.step()

    def attach(self, design: AdapterDesign) -> None:
        """Attach adapters of a design, and train them too."""
        adapters = self._host.attach(self._problem.loss_names, design)
        self.optimizer.add_adapters(adapters)
