"""A training problem as the contenders see it: plain steps, losses with graph, treated steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import deepxde as dde
import torch
from torch import Tensor

import conflictopt
from conflictopt.integrations.deepxde import patch

Step = Callable[[], None]
Residual = Callable[[torch.nn.Module], Tensor]
Method = str | conflictopt.Aggregator

RATE = 1e-3


class StepProblem(Protocol):
    """One model with its Adam optimizer and its fixed training points.

    Attributes:
        net: the network.
        optimizer: Adam over the network's parameters.
        count: K, the number of losses.
        rows: number of training points over all losses.
    """

    net: torch.nn.Module
    optimizer: torch.optim.Optimizer
    count: int
    rows: int

    def step(self) -> None:
        """One step: the plain one, or the treated one after ``treat``."""

    def losses(self) -> tuple[Tensor, ...]:
        """K scalars with graph, from as few forward passes as the problem has."""

    def loss(self, k: int) -> Tensor:
        """Loss k alone, from a forward pass of its own."""

    def treat(self, method: Method, **options: Any) -> None:
        """From now on ``step`` goes through conflictopt."""


class DeepXDEProblem:
    """A DeepXDE model, compiled with Adam; see ``StepProblem``.

    Args:
        model: the model, not yet compiled.
        groups: how ``patch`` groups the entries of its loss vector.
    """

    def __init__(self, model: dde.Model, groups: str) -> None:
        model.compile("adam", lr=RATE, verbose=0)
        model.train(iterations=0, verbose=0)
        state = model.train_state
        self._model = model
        self._groups = groups
        self._batch = (state.X_train, state.y_train, state.train_aux_vars)
        self.net, self.optimizer = model.net, model.opt
        self.count, self.rows = len(state.loss_train), len(state.X_train)

    def step(self) -> None:
        self._model.train_step(*self._batch)

    def losses(self) -> tuple[Tensor, ...]:
        return tuple(self._model.outputs_losses_train(*self._batch)[1].unbind())

    def loss(self, k: int) -> Tensor:
        return self._model.outputs_losses_train(*self._batch)[1][k]

    def treat(self, method: Method, **options: Any) -> None:
        patch(self._model, method, **{"groups": self._groups, **options})


class LoopProblem:
    """A plain torch loop, one forward pass per loss; see ``StepProblem``.

    Args:
        net: the network.
        residuals: per loss name, the residual whose mean square is the loss.
        rows: number of training points over all losses.
    """

    def __init__(self, net: torch.nn.Module, residuals: Mapping[str, Residual], rows: int) -> None:
        self.net = net
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
        self.count, self.rows = len(residuals), rows
        self._residuals = dict(residuals)
        self.step: Step = self._plain

    def losses(self) -> tuple[Tensor, ...]:
        return tuple(self.loss(k) for k in range(self.count))

    def loss(self, k: int) -> Tensor:
        return list(self._residuals.values())[k](self.net).square().mean()

    def treat(self, method: Method, **options: Any) -> None:
        method = conflictopt.make(method) if isinstance(method, str) else method
        optimizer = conflictopt.MultiLossOptimizer(self.optimizer, method, **options)
        members = method.members if isinstance(method, conflictopt.Chain) else (method,)
        if any(isinstance(m, conflictopt.Routing) for m in members):
            optimizer.add_adapters(conflictopt.attach(self.net, list(self._residuals), rank=4))
        wanted = bool(method.needs & conflictopt.Needs.RESIDUALS)

        def step() -> None:
            residuals = {name: f(self.net) for name, f in self._residuals.items()}
            losses = {name: r.square().mean() for name, r in residuals.items()}
            optimizer.step(losses, residuals=residuals if wanted else None)

        self.step = step

    def _plain(self) -> None:
        self.optimizer.zero_grad()
        sum(self.losses()).backward()
        self.optimizer.step()
