"""Plain torch loops whose method is chosen, and thresholds that plant the regime."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from conflictopt import MultiLossOptimizer, Thresholds

STEPS = 20
"""Length of the profiles."""


class Loop:
    """A training loop: two fits that disagree, on one network, by Adam with a schedule.

    Args:
        method: of ``MultiLossOptimizer``; ``None`` trains the plain sum.
        residuals: whether they are handed over beside the losses.
        options: of ``MultiLossOptimizer``.
    """

    def __init__(self, method="auto", residuals=True, kind=torch.optim.Adam, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = nn.Sequential(
                *(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 1))
            )
        self.x = torch.linspace(-1, 1, 16)[:, None]
        self.with_residuals = residuals
        plain = kind(self.net.parameters(), lr=1e-2)
        self.opt = plain if method is None else MultiLossOptimizer(plain, method, **options)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.opt, 0.99)

    def residuals(self):
        u = self.net(self.x)
        return {"pde": u, "bc": u[:8] - 1.0}

    def step(self):
        found = self.residuals()
        losses = {n: r.square().mean() for n, r in found.items()}
        if not isinstance(self.opt, MultiLossOptimizer):
            self.opt.zero_grad()
            sum(losses.values()).backward()
            self.opt.step()
        elif self.with_residuals:
            self.opt.step(losses, residuals=found)
        else:
            self.opt.step(losses)
        self.schedule.step()

    def run(self, steps):
        for _ in range(steps):
            self.step()
        return self

    def numbers(self):
        """All parameters and moments, in order."""
        inner = getattr(self.opt, "inner", self.opt)
        moments = [v for s in inner.state.values() for v in s.values() if torch.is_tensor(v)]
        return [v.detach().clone() for v in (*self.net.parameters(), *moments)]

    def save(self):
        """A checkpoint, through a file's format."""
        return {"opt": self.opt.state_dict(), "net": self.net.state_dict()}

    def load(self, saved):
        """The optimizer first: its plan may attach adapters."""
        self.opt.load_state_dict(saved["opt"])
        self.net.load_state_dict(saved["net"])
        return self


def same(a, b):
    """Bitwise equality of two loops."""
    first, second = a.numbers(), b.numbers()
    return len(first) == len(second) and all(map(torch.equal, first, second))


def forced(regime):
    """Thresholds under which every profile of the loop has the regime, decided."""
    anyhow = {"enough_samples": 1, "enough_confidence": 0.0}
    return {
        "benign": Thresholds(**anyhow, persistent_cosine=-1.0, magnitude_ratio=1e12),
        "magnitude": Thresholds(**anyhow, persistent_cosine=-1.0, magnitude_ratio=1.0),
        "persistent": Thresholds(**anyhow, persistent_fraction=0.5, persistent_cosine=0.0),
    }[regime]


@pytest.fixture
def loop():
    """``loop(regime, ...)``: a loop under ``auto`` whose verdict is planted."""

    def build(regime="magnitude", method="auto", **options):
        usual = {"profile_steps": STEPS, "profile_every": 1, "thresholds": forced(regime)}
        return Loop(method, **{**usual, **options})

    return build


@pytest.fixture
def adapted():
    """``adapted()``: a loop under ``auto`` whose plan will have adapters on its network."""

    def build(**options):
        made = Loop(None)
        made.opt = MultiLossOptimizer(
            made.opt,
            "auto",
            model=made.net,
            profile_steps=STEPS,
            profile_every=1,
            thresholds=forced("persistent"),
            **options,
        )
        made.schedule = torch.optim.lr_scheduler.ExponentialLR(made.opt, 0.99)
        return made

    return build


@pytest.fixture
def loops():
    """The pieces above, under one name."""

    class Pieces:
        pass

    pieces = Pieces()
    for piece in (Loop, same, forced):
        setattr(pieces, piece.__name__, piece)
    pieces.STEPS = STEPS
    return pieces


@pytest.fixture(autouse=True)
def _global_random_states():
    """``auto`` leaves the global random states alone."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    yield
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[2] == random.getstate()
