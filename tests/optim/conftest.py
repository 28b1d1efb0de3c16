"""A tiny PINN with three losses, and what the tests of the optimizer do with it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import conflictopt


class Net(nn.Module):
    """A multilayer perceptron; ``net[i]`` is its layer i."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def __getitem__(self, i: int) -> nn.Module:
        return self.layers[i]


class Pinn:
    """Heat equation ``u_t = nu u_xx`` with the losses pde, bc, ic; every ``net()`` starts alike.

    ``unknown=True`` makes ``nu`` a 0-dimensional parameter of the network, as in an inverse
    problem.
    """

    def __init__(
        self,
        names: Sequence[str] = ("pde", "bc", "ic"),
        unknown: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.names = tuple(names)
        self.unknown = unknown
        self.dtype = dtype
        draw = torch.Generator().manual_seed(1)
        self.points = torch.rand(12, 2, generator=draw).to(dtype)

    def net(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = Net(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)).to(
                self.dtype
            )
        if self.unknown:
            net.nu = nn.Parameter(torch.tensor(0.3, dtype=self.dtype))
        return net

    def residuals(self, net: nn.Module, points: Tensor | None = None) -> dict[str, Tensor]:
        inside = (self.points if points is None else points).clone().requires_grad_()
        wall, start = inside.detach().clone(), inside.detach().clone()
        wall[:, 0], start[:, 1] = wall[:, 0].round(), 0.0
        u_x, u_t = _gradient(net(inside), inside).unbind(1)
        u_xx = _gradient(u_x, inside)[:, 0]
        every = {
            "pde": u_t - getattr(net, "nu", 0.1) * u_xx,
            "bc": net(wall),
            "ic": net(start) - torch.sin(3 * start[:, :1]),
        }
        return {n: every[n] for n in self.names}

    def losses(self, net: nn.Module, points: Tensor | None = None) -> dict[str, Tensor]:
        return {n: r.square().mean() for n, r in self.residuals(net, points).items()}

    def train(self, net: nn.Module, opt: conflictopt.MultiLossOptimizer, steps: int) -> None:
        """Steps of the wrapper; a line search gets a closure."""

        def losses() -> conflictopt.Losses:
            r = self.residuals(net)
            points = dict.fromkeys(r, self.points)
            return conflictopt.Losses.of(
                {n: v.square().mean() for n, v in r.items()}, r, points=points
            )

        for _ in range(steps):
            opt.step(losses if isinstance(opt.inner, torch.optim.LBFGS) else losses())

    def train_plain(self, net: nn.Module, opt: torch.optim.Optimizer, steps: int) -> None:
        """The loop that a user writes without this package."""

        def closure() -> Tensor:
            opt.zero_grad()
            total = sum(self.losses(net).values())
            total.backward()
            return total

        for _ in range(steps):
            if isinstance(opt, torch.optim.LBFGS):
                opt.step(closure)
            else:
                closure()
                opt.step()


def _gradient(u: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(u.sum(), x, create_graph=True)[0]


def _same(a: Any, b: Any) -> bool:
    """Bitwise equality of modules, and of nested dicts and lists of tensors."""
    if isinstance(a, nn.Module):
        a, b = a.state_dict(), b.state_dict()
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _through_a_file(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.fixture
def make_pinn() -> type[Pinn]:
    return Pinn


@pytest.fixture
def pinn() -> Pinn:
    return Pinn()


@pytest.fixture
def same() -> Any:
    """``same(a, b)``: whether two modules or nested states are bitwise equal."""
    return _same


@pytest.fixture
def through_a_file() -> Any:
    """What ``torch.load(weights_only=True)`` gives back after ``torch.save``."""
    return _through_a_file


@pytest.fixture
def snapshot() -> Any:
    """A copy of all that a failed step must leave alone; only ``skipped`` may count."""

    def take(net: nn.Module, opt: conflictopt.MultiLossOptimizer) -> dict[str, Any]:
        saved: dict[str, Any] = _through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
        for name in ("skipped", "digests"):
            del saved["opt"]["conflictopt"][name]
        return saved

    return take
