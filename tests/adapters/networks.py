"""Networks of several shapes, their losses, and the adapted network written out."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import nn

from conflictopt.adapters import attached

LOSSES = ("pde", "bc", "ic")


class Mlp(nn.Module):
    """tanh layers in a ModuleList, as PINN libraries write them; ``layers.0`` and so on."""

    def __init__(self, *widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

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


class Gated(nn.Module):
    """Fourier features and the modified MLP: hidden values move between two encodings.

    Wang, Teng, Perdikaris 2021 (arXiv 2001.04536), eq. (43) to (45).
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, 4))
        self.encode_u, self.encode_v = nn.Linear(8, 8), nn.Linear(8, 8)
        self.hidden = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        z = x @ self.frequencies
        z = torch.cat([torch.sin(z), torch.cos(z)], dim=-1)
        u, v = torch.tanh(self.encode_u(z)), torch.tanh(self.encode_v(z))
        h = z
        for layer in self.hidden:
            gate = torch.tanh(layer(h))
            h = gate * u + (1 - gate) * v
        return self.out(h)


def sequential():
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))


def deep():
    return Mlp(2, 6, 7, 6, 2)


NETWORKS = {
    "mlp": (lambda: Mlp(2, 8, 8, 1), ()),
    "sequential": (sequential, ()),
    "two heads": (TwoHeads, ("velocity", "pressure")),
    "gated": (Gated, ("hidden.*", "out")),
    "one wide input": (lambda: Mlp(50, 12, 12, 6), ()),
    "one input": (lambda: Mlp(1, 12, 12, 3), ()),
}
"""Name -> how to build it, and the layers to name in a design, if it needs that."""


@contextmanager
def fixed_random_state(seed=0):
    """The global generator at a seed, and afterwards where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def network(make, dtype=torch.float64):
    """The same weights at every call."""
    with fixed_random_state():
        return make().to(dtype)


def points(net, dtype=torch.float64, count=5):
    """Inputs that require gradients, as many columns as the network reads."""
    first = next(m for m in net.modules() if isinstance(m, nn.Linear))
    width = 2 if isinstance(net, Gated) else first.in_features
    g = torch.Generator().manual_seed(1)
    drawn = torch.rand(count, width, generator=g, dtype=torch.float64)
    return drawn.to(dtype).requires_grad_()


def acting(adapters, seed=2, size=0.5):
    """Up-projections away from zero, so that the adapters act."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in adapters.up:
            p.copy_(size * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return adapters


def fields(net, x, order=2):
    """Values with their (summed) input derivatives up to an order."""
    found = [net(x)]
    for _ in range(order):
        # a square keeps derivatives of linear functions attached to the graph
        (slope,) = torch.autograd.grad(
            (found[-1] * (1 + found[-1])).sum(), x, create_graph=True, materialize_grads=True
        )
        found.append(slope)
    return found


def losses_of(net, x):
    """Three losses, of values, first and second derivatives."""
    u, first, second = fields(net, x)
    return {
        "pde": (second.sum(dim=1) - u[:, 0]).square().mean(),
        "bc": (u - 1).square().mean(),
        "ic": first.square().mean(),
    }


def total_of(net, x):
    return sum(losses_of(net, x).values())


def trunk_of(net):
    return [p for n, p in net.named_parameters() if "conflictopt" not in n]


def gradients(loss, params):
    return torch.autograd.grad(loss, params, retain_graph=True, materialize_grads=True)


def identical(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def orthonormal(matrix):
    """The Q of a QR decomposition whose R has a positive diagonal, by modified Gram-Schmidt."""
    columns = []
    for v in matrix.unbind(1):
        for q in columns:
            v = v - (q @ v) * q
        columns.append(v / v.norm())
    return torch.stack(columns, dim=1)


def written_out(net, x):
    """An adapted ``Mlp``, as the docstring of its design says it, without any hook or bank."""
    adapters = attached(net)
    design, banks = adapters.design, dict(adapters.banks)
    scale = 1 / len(adapters.losses) if design.scale == "mean" else 1.0
    act = torch.tanh if design.activation == "tanh" else lambda z: z

    def contribution(name, h):
        bank = banks[name]
        down = torch.cat(tuple(bank.down), dim=1)
        down = orthonormal(down) if design.orthogonal else down
        total = 0
        for k, up in enumerate(bank.up):
            total = total + act(h @ down[:, k * design.rank : (k + 1) * design.rank]) @ up
        return scale * total

    h = x
    for i, layer in enumerate(net.layers):
        name = f"layers.{i}"
        y = h
        if name in banks and design.placement in ("last", "hidden"):
            y = h + contribution(name, h)
        out = y @ layer.weight.T + layer.bias
        if name in banks and design.placement in ("weights", "head"):
            out = out + contribution(name, h)
        h = torch.tanh(out) if i < len(net.layers) - 1 else out
    return h
