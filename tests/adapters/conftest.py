"""Networks of several shapes, each with the names of the layers whose inputs are adapted."""

from __future__ import annotations

import pytest
import torch
from torch import nn


class Mlp(nn.Module):
    """Two hidden layers of width 8 in a ModuleList, as PINN libraries write them."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 1)])

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.tanh(layer(x))
        return self.layers[-1](x)


class TwoHeads(nn.Module):
    """A trunk with one head per field."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2, 8), nn.Tanh())
        self.velocity = nn.Linear(8, 2)
        self.pressure = nn.Linear(8, 1)

    def forward(self, x):
        h = self.trunk(x)
        return torch.cat([self.velocity(h), self.pressure(h)], dim=-1)


def sequential():
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))


NETWORKS = {
    "mlp": (Mlp, None),
    "sequential": (sequential, None),
    "two heads": (TwoHeads, ["velocity", "pressure"]),
}


@pytest.fixture(params=NETWORKS)
def build(request):
    """``build(dtype)`` -> a network with fixed weights, and the names of its heads."""
    make, heads = NETWORKS[request.param]

    def network(dtype=torch.float64):
        torch.manual_seed(0)
        return make().to(dtype), heads

    return network


@pytest.fixture
def mlp():
    """One float64 network with one head, ``layers.2``."""
    torch.manual_seed(0)
    return Mlp().double()


@pytest.fixture
def points():
    """``points(dtype)``: 5 inputs that require gradients."""

    def inputs(dtype=torch.float64):
        g = torch.Generator().manual_seed(1)
        return torch.rand(5, 2, generator=g, dtype=torch.float64).to(dtype).requires_grad_()

    return inputs


@pytest.fixture
def randomize():
    """``randomize(adapters)``: up-projections away from zero, so that the adapters act."""

    def fill(adapters):
        g = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for p in adapters.up:
                p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
        return adapters

    return fill
