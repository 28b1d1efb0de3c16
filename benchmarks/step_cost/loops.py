"""The plain torch loops, each freshly built from the same seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .problems import LoopProblem, Residual

SEED = 0
VISCOSITY = 0.01 / math.pi


def _mlp(sizes: Sequence[int]) -> torch.nn.Module:
    torch.manual_seed(SEED)
    layers: list[torch.nn.Module] = []
    for width, following in pairwise(sizes):
        layers += [torch.nn.Linear(width, following), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])


def burgers_loop(width: int = 20) -> LoopProblem:
    """Burgers' equation by ``torch.autograd``; 2540, 80 and 160 points; three hidden layers."""
    net = _mlp([2, *[width] * 3, 1])
    inside, sides, start = (torch.rand(n, 2) * 2 - 1 for n in (2540, 80, 160))
    inside.requires_grad_()
    sides[:, 0] = sides[:, 0].sign()
    start[:, 1] = 0

    def equation(net: torch.nn.Module) -> Tensor:
        u = net(inside)
        first = torch.autograd.grad(u.sum(), inside, create_graph=True)[0]
        u_x, u_t = first[:, :1], first[:, 1:]
        u_xx = torch.autograd.grad(u_x.sum(), inside, create_graph=True)[0][:, :1]
        return u_t + u * u_x - VISCOSITY * u_xx

    residuals = {
        "pde": equation,
        "bc": lambda net: net(sides),
        "ic": lambda net: net(start) + torch.sin(math.pi * start[:, :1]),
    }
    return LoopProblem(net, residuals, rows=2540 + 80 + 160)


def regression(count: int = 3, width: int = 98, rows: int = 200) -> LoopProblem:
    """K regressions on points of their own through one network, ``P = width**2 + 5 * width + 1``.

    Args:
        count: K, the number of losses.
        width: of the two hidden layers.
        rows: points of each loss.
    """
    net = _mlp([2, width, width, 1])
    points = [torch.rand(rows, 2) for _ in range(count)]

    def term(k: int) -> Residual:
        return lambda net: net(points[k]) - torch.sin((k + 1) * points[k][:, :1])

    return LoopProblem(net, {f"data_{k}": term(k) for k in range(count)}, rows=count * rows)
