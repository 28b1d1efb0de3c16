"""A small float64 problem with an unknown, and its Jacobians by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from conflictopt.kernel import blocks_of


class Small:
    """Three losses of a network ``[x, y] -> u`` and an unknown: one has two residual tensors."""

    names = ("pde", "bc", "data")

    def __init__(self, seed=0, points=(7, 5, 4)):
        g = torch.Generator().manual_seed(seed)
        self.net = nn.Sequential(
            nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1)
        ).double()
        with torch.no_grad():
            for p in self.net.parameters():
                p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64) * 0.6)
        self.nu = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.x = [torch.rand(n, 2, generator=g, dtype=torch.float64) for n in points]

    def residuals(self, net=None, nu=None):
        net, nu = net or self.net, self.nu if nu is None else nu
        inside = self.x[0].clone().requires_grad_()
        u = net(inside)
        du = torch.autograd.grad(u.sum(), inside, create_graph=True)[0]
        ddu = torch.autograd.grad(du[:, 0].sum(), inside, create_graph=True)[0][:, :1]
        return {
            "pde": [du[:, 1:] + u * du[:, :1] - nu * ddu, (du[:3, 0] - 1)],
            "bc": net(self.x[1]) + self.x[1][:, :1],
            "data": 3 * (net(self.x[2]) - 0.2),
        }

    def losses(self):
        return {
            name: sum(r.square().mean() for r in (rs if isinstance(rs, list) else [rs]))
            for name, rs in self.residuals().items()
        }

    def blocks(self):
        return blocks_of(self.net, [self.nu])

    def jacobians(self):
        """Per loss ``rho`` and per block its Jacobian ``[n, P_b]``, by ``torch.autograd``."""
        names = {id(p): n for n, p in self.net.named_parameters()}
        blocks = self.blocks()
        every = [p for ps in blocks.values() for p in ps]
        keys = [names.get(id(p), "nu") for p in every]

        def rho(name):
            def of(*values):
                given = dict(zip(keys, values, strict=True))
                nu = given.pop("nu")
                rs = self.residuals(lambda x: functional_call(self.net, given, (x,)), nu)[name]
                rs = rs if isinstance(rs, list) else [rs]
                return torch.cat([r.reshape(-1) / r.numel() ** 0.5 for r in rs])

            return of

        values, found = {}, {}
        for name in self.names:
            values[name] = rho(name)(*every).detach().numpy()
            parts = torch.autograd.functional.jacobian(rho(name), tuple(every))
            rows = iter(p.reshape(len(values[name]), -1).numpy() for p in parts)
            found[name] = {
                b: np.concatenate([next(rows) for _ in ps], axis=1) for b, ps in blocks.items()
            }
        return values, found


@pytest.fixture
def small():
    return Small()


@pytest.fixture
def build():
    """``build(seed=..., points=...)``: another such problem."""
    return Small


@pytest.fixture
def linear_losses():
    """``linear_losses(jacobians, values)``: losses ``|A_k w + c_k|^2 / n_k`` with known Jacobians.

    Returns their residuals and the parameter ``w``.
    """

    def made(jacobians, values=None):
        w = torch.zeros(len(jacobians[0][0]), dtype=torch.float64, requires_grad=True)
        residuals = {}
        for k, a in enumerate(jacobians):
            a = torch.as_tensor(np.asarray(a, dtype=np.float64))
            c = 1.0 if values is None else torch.as_tensor(values[k])
            residuals["abcdefghijkl"[k]] = (a @ w + c) * len(a) ** 0.5
        return residuals, w

    return made
