"""A heat-like equation in the unit square with boundary and initial values: three losses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

LOSSES = ("equation", "boundary", "initial")
SHARES = (0.8, 0.1, 0.1)
"""Of the rows."""


@dataclass(frozen=True)
class CurvatureCase:
    """A network and its points, the same at every call.

    Attributes:
        net: tanh network of two inputs and one output, float64.
        inside, boundary, initial: ``[n, 2]`` points (x, t).
    """

    net: nn.Sequential
    inside: Tensor
    boundary: Tensor
    initial: Tensor

    @property
    def parameters(self) -> int:
        """P."""
        return sum(p.numel() for p in self.net.parameters())

    @property
    def rows(self) -> int:
        """N."""
        return len(self.inside) + len(self.boundary) + len(self.initial)

    def residuals(self) -> dict[str, Tensor]:
        """``[n, 1]`` by loss: ``u_t + u u_x - 0.1 u_xx`` by nested autograd, and two conditions."""
        points = self.inside.requires_grad_()
        u = self.net(points)
        first = _gradient(u, points)
        second = _gradient(first[:, :1], points)
        equation = first[:, 1:] + u * first[:, :1] - 0.1 * second[:, :1]
        start = torch.sin(torch.pi * self.initial[:, :1])
        return dict(
            zip(
                LOSSES,
                (equation, self.net(self.boundary), self.net(self.initial) - start),
                strict=True,
            )
        )

    def loss(self) -> Tensor:
        """The sum of the mean squares."""
        means = [r.square().mean() for r in self.residuals().values()]
        return torch.stack(means).sum()


def curvature_case(width: int, rows: int, hidden: int = 4, seed: int = 0) -> CurvatureCase:
    """Make one.

    Args:
        width: of each hidden layer.
        rows: N, of all losses together.
        hidden: number of hidden layers.
        seed: of the parameters and the points.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = [2, *[width] * hidden, 1]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layer = nn.Linear(inputs, outputs).double()
        spread = (6 / (inputs + outputs)) ** 0.5
        with torch.no_grad():
            layer.weight.uniform_(-spread, spread, generator=generator)
            layer.bias.zero_()
        layers += [layer, nn.Tanh()]
    counts = [round(share * rows) for share in SHARES]
    inside, boundary, initial = (
        torch.rand(n, 2, generator=generator, dtype=torch.float64) for n in counts
    )
    boundary[:, 0] = (boundary[:, 0] > 0.5).double()
    initial[:, 1] = 0.0
    return CurvatureCase(nn.Sequential(*layers[:-1]), inside, boundary, initial)


def _gradient(values: Tensor, points: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(values.sum(), points, create_graph=True)
    return found
