"""Plain torch loops whose method is chosen, with regimes and runaways planted."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from conflictopt import MultiLossOptimizer, Thresholds, attach, diagnose, select
from conflictopt.adapters import attached
from conflictopt.auto.controller import Course, Rules
from conflictopt.auto.host import HeldOut
from conflictopt.auto.options import CourseOptions
from conflictopt.auto.snapshot import Snapshot
from conflictopt.diagnosis.recorder import Recorder
from conflictopt.selection.policy import Treatment


class Net(nn.Module):
    """A multilayer perceptron with a buffer that every forward pass moves."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 1)
        )
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.layers(x)


def steady(net, x, step):
    """Two fits that agree."""
    return {
        "pde": (net(x) - torch.sin(2 * x)).square().mean(),
        "bc": (net(x[:4]) - torch.sin(2 * x[:4])).square().mean(),
    }


def turning(net, x, step, at=120):
    """Two fits that agree until a step, and pull in opposite directions from then on."""
    wanted = torch.sin(2 * x) * (1 if step < at else -1)
    return {
        "pde": (net(x) - torch.sin(2 * x)).square().mean(),
        "bc": (net(x) - wanted).square().mean(),
        "data": (net(x[:8]) - torch.sin(2 * x[:8])).square().mean(),
    }


def noisy(net, x, step):
    """As ``steady``, on points that the global random states move."""
    shift = 0.01 * (torch.rand(()).item() + np.random.rand() + random.random())  # noqa: NPY002
    return steady(net, x + shift, step)


@dataclass
class Loop:
    """A training loop with a schedule and an unknown, as a host."""

    losses: object = steady
    lr: float = 1e-2
    kind: type = torch.optim.Adam

    def __post_init__(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Net()
        self.nu = nn.Parameter(torch.tensor(0.5))
        points = torch.Generator().manual_seed(1)
        self.x, self.apart = (2 * torch.rand(16, 1, generator=points) - 1 for _ in range(2))
        inner = self.kind([*self.net.parameters(), self.nu], lr=self.lr)
        self._optimizer = MultiLossOptimizer(inner, "sum", equations=["pde"], seed=3)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self._optimizer, 0.995)

    @property
    def optimizer(self):
        return self._optimizer

    def start(self, recorder):
        self._optimizer.set_aggregator(recorder)

    def at(self, x):
        found = self.losses(self.net, x, self._optimizer.completed)
        return {"data": (self.net(x[:2]).mean() * self.nu - 0.3).square(), **found}

    def advance(self, steps):
        for _ in range(steps):
            self._optimizer.step(self.at(self.x))
            self.schedule.step()

    def attach(self, plan=None):
        if attached(self.net) is not None:
            return 0
        adapters = attach(self.net, ["data", "pde", "bc"], rank=2, seed=0)
        self._optimizer.add_adapters(adapters)
        return sum(p.numel() for p in adapters.parameters())

    def snapshot(self):
        return Snapshot(self._optimizer, self.net, self.schedule)

    def held_out(self):
        before = self.net.calls.clone()
        with torch.no_grad():
            found = {n: v.item() for n, v in self.at(self.apart).items()}
        self.net.calls.copy_(before)
        return HeldOut(found, ("bc", "data"))

    def run(self, steps, course=None):
        for _ in range(steps):
            self.advance(1)
            if course is not None:
                course.after_step()

    def everything(self):
        """All that a run consists of, for bitwise comparison."""
        inner = self._optimizer.inner
        moments = copy.deepcopy([v for s in inner.state.values() for v in s.values()])
        session = self._optimizer.session
        numpy = np.random.get_state()  # noqa: NPY002
        found = [
            *self.net.state_dict().values(),
            self.nu,
            *(p.grad for p in self.net.parameters()),
            *moments,
            inner.param_groups[0]["lr"],
            len(inner.param_groups[0]["params"]),
            self.schedule.state_dict()["last_epoch"],
            session.completed,
            session.generator.get_state(),
            torch.get_rng_state(),
            torch.from_numpy(numpy[1].astype(np.int64)),
            numpy[2],
            random.getstate(),
        ]
        return [v.detach().clone() if isinstance(v, torch.Tensor) else v for v in found]


def same(a, b):
    """Bitwise equality of nested lists of tensors, numbers and states."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture(autouse=True)
def _global_random_states():
    """The same at the start of every test, and put back after it."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    reset()
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


def reset():
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)


def course_of(loop, treat=None, thresholds=None, verdicts=None, steps=60, **options):
    """A course on a loop, and its log.

    ``treat`` gives methods per plan kind; ``verdicts`` what diagnoses say, in turn.
    """
    recorder, log = Recorder(steps, 1), []
    loop.start(recorder)

    def treated(plan):
        if treat is not None:
            return treat[plan.kind]
        return Treatment("softadapt").method(plan)

    planned = iter(verdicts or ())

    def diagnosed(profile):
        found = diagnose(profile, thresholds or Thresholds())
        return next(planned)(found) if verdicts else found

    rules = Rules(diagnosed, lambda d: select(d, "softadapt"), treated, lambda: "softadapt")
    return Course(loop, recorder, rules, CourseOptions(**options), log.append), log


@pytest.fixture
def loops():
    """The pieces above, under one name."""

    class Pieces:
        pass

    pieces = Pieces()
    for f in (Loop, steady, turning, noisy, same, course_of, reset):
        setattr(pieces, f.__name__, f)
    return pieces
