"""Rows that something couples, at once or later: the loss that is minimised stays DeepXDE's."""

from __future__ import annotations

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt.integrations.deepxde import patch
from conflictopt.integrations.deepxde.coupling import Reexamination, moved

STEPS = 150


def mass(x, u, unknown, step):
    return (torch.mean(u) - 1.0) * torch.ones_like(x)


def stiff(x, u, unknown, step):
    return [100 * dde.grad.hessian(u, x), mass(x, u, unknown, step)]


def multiplier(x, u, unknown, step):
    return dde.grad.hessian(u, x) + 3 + unknown * torch.mean(u)


def detached(x, u, unknown, step):
    return dde.grad.hessian(u, x) + 3 + torch.mean(u).detach()


def switched_on(x, u, unknown, step):
    return dde.grad.hessian(u, x) + 3 + (step() >= 70) * torch.mean(u)


def apart(x, u, unknown, step):
    return dde.grad.hessian(u, x) + 3 + unknown * u


class Watched:
    """A model, and how far the losses that were minimised were from DeepXDE's own."""

    def __init__(self, equation, method, conditions=None, resample=None):
        dde.config.set_random_seed(3)
        line = dde.geometry.Interval(0, 1)
        unknown = dde.Variable(0.0)
        wall = dde.icbc.DirichletBC(line, lambda x: np.full((len(x), 1), 3.0), lambda _, on: on)
        data = dde.data.PDE(
            line,
            lambda x, u: equation(x, u, unknown, lambda: self.model.train_state.step),
            [wall, *(conditions(line) if conditions else [])],
            num_domain=20,
            num_boundary=20,
        )
        self.model = dde.Model(data, dde.nn.FNN([1, 12, 12, 1], "tanh", "Glorot normal"))
        self.made = patch(self.model, method)
        self.model.compile("adam", lr=2e-2, external_trainable_variables=[unknown], verbose=0)
        self.callbacks = [dde.callbacks.PDEPointResampler(period=resample)] if resample else []
        self.worst = 0.0
        self.step = self.model.train_step
        self.model.train_step = self.watch

    def watch(self, inputs, targets, aux):
        entries = self.model.outputs_losses_train(inputs, targets, aux)[1].tolist()
        self.step(inputs, targets, aux)
        names, members = self.made.optimizer.last.names, self.made.groups.members
        sums = [sum(e for e, m in zip(entries, members, strict=True) if m == k) for k in range(2)]
        for value, expected in zip(self.made.optimizer.last.values, sums, strict=True):
            self.worst = max(self.worst, abs(value - expected) / (abs(expected) + 1e-12))
        assert len(names) == 2

    def train(self):
        self.model.train(iterations=STEPS, callbacks=self.callbacks, display_every=1000, verbose=0)
        return self

    @property
    def whole(self):
        return [line for line in self.made.log if "whole batch" in line]


@pytest.mark.parametrize("equation", [mass, stiff, multiplier, detached])
@pytest.mark.parametrize("method", ["pcgrad", "grad_norm"])
def test_a_coupling_is_found_at_once(equation, method):
    run = Watched(equation, method).train()
    assert run.worst == 0
    assert len(run.whole) == 1


def test_a_coupling_that_is_switched_on_later_is_found_when_it_is_looked_at_again():
    run = Watched(switched_on, "pcgrad", resample=51).train()
    assert len(run.whole) == 1
    assert run.worst > 0  # until it was


def test_a_condition_on_all_points_is_found():
    def average(line):
        return [dde.icbc.OperatorBC(line, lambda x, u, _: u - u.mean(), lambda _, on: on)]

    run = Watched(apart, "pcgrad", conditions=average).train()
    assert run.worst == 0
    assert len(run.whole) == 1


@pytest.mark.parametrize("resample", [None, 10])
def test_what_nothing_couples_is_evaluated_apart_to_the_end(resample):
    run = Watched(apart, "pcgrad", resample=resample).train()
    assert not run.whole
    assert run.worst < 1e-4


def test_unknowns_are_where_they_were():
    unknowns = [torch.tensor([0.0, 2.0], requires_grad=True)]
    before = unknowns[0].data
    with moved(unknowns):
        assert bool((unknowns[0] != before).all())
    assert unknowns[0].data is before or torch.equal(unknowns[0], before)
    assert unknowns[0]._version == 0


def test_it_is_looked_at_again_after_powers_of_ten_steps_other_points_and_other_unknowns():
    points, unknown = object(), torch.zeros(1)
    times = Reexamination()
    due = []
    for step in range(1, 1001):
        if step == 500:
            points = object()
        if step == 700:
            unknown = torch.ones(1)
        if times.due(points, [unknown]):
            due.append(step)
            times.examined(points, [unknown])
    assert due == [1, 10, 100, 500, 700, 1000]
