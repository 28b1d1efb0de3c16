"""A torch loop that ``auto`` trains."""

from __future__ import annotations

import torch

from conflictopt import Losses, MultiLossOptimizer

PROFILE = {"profile_steps": 100, "profile_every": 2}
STEPS = 130


class Loop:
    """``u' + u = 0, u(0) = 1``, with a plain optimizer or ``auto``."""

    def __init__(self, auto=True, optimizer=torch.optim.Adam, **options):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = torch.nn.Linear(1, 12), torch.nn.Tanh(), torch.nn.Linear(12, 1)
            self.net = torch.nn.Sequential(*layers).double()
        self.x = torch.linspace(0, 1, 24, dtype=torch.float64)[:, None].requires_grad_()
        self.opt = optimizer(self.net.parameters(), lr=1e-2)
        if auto:
            given = {**PROFILE, "steps": STEPS, **options}
            self.opt = MultiLossOptimizer(self.opt, "auto", **given)
        self.evaluated = 0

    def residuals(self):
        self.evaluated += 1
        u = self.net(self.x)
        u_x = torch.autograd.grad(u.sum(), self.x, create_graph=True)[0]
        return {"pde": u_x + u, "ic": self.net(self.x[:1]) - 1}

    def closure(self):
        return Losses.of_residuals(self.residuals())

    def plain(self):
        self.opt.zero_grad()
        loss = sum(r.square().mean() for r in self.residuals().values())
        loss.backward()
        return loss

    def run(self, count, closure=None):
        for _ in range(count):
            self.opt.step(closure or self.closure)
        return self

    @property
    def parameters(self):
        return [p.detach().clone() for p in self.net.parameters()]

    @property
    def error(self):
        return (self.net(self.x) - torch.exp(-self.x)).abs().max().item()


def same(one, other):
    return all(map(torch.equal, one, other))
