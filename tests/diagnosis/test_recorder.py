"""Recorder: it changes nothing, and what it keeps is what was there."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

from conflictopt import Chain, MultiLossOptimizer, Recorder, diagnose, make
from conflictopt.diagnosis.recorder import profile_of

NAMES = ("pde", "bc")


@pytest.fixture
def net():
    """A tiny float64 network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def losses_of(net):
    x = torch.linspace(0, 1, 6).double()[:, None].requires_grad_()
    u = net(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    return {"pde": (slope - u).square().mean(), "bc": (u[0] - 1).square().mean()}


def brute_force(net):
    """``[K]`` losses and ``[K, K]`` Gramian from whole gradients."""
    losses = losses_of(net)
    params = list(net.parameters())
    rows = [torch.autograd.grad(v, params, retain_graph=True) for v in losses.values()]
    jacobian = torch.stack([torch.cat([g.ravel() for g in row]) for row in rows])
    return torch.stack(list(losses.values())).detach().numpy(), (jacobian @ jacobian.T).numpy()


def train(net, aggregator, steps, before=lambda step: None):
    opt = MultiLossOptimizer(torch.optim.Adam(net.parameters(), lr=1e-2), aggregator)
    for step in range(steps):
        before(step)
        opt.step(losses_of(net))
    return opt


def test_samples_are_the_losses_and_gramians_of_the_step(net):
    expected = {}

    def keep(step):
        expected[step] = brute_force(net)

    opt = train(net, Recorder(steps=12, every=3), 12, keep)
    profile = profile_of(opt.session.state, NAMES)
    assert profile.names == NAMES
    assert profile.steps.tolist() == [0, 3, 6, 9]
    for n, step in enumerate(profile.steps):
        np.testing.assert_allclose(profile.losses[n], expected[step][0], rtol=1e-14)
        np.testing.assert_allclose(profile.gramians[n], expected[step][1], rtol=1e-10)


def test_recording_leaves_the_run_bitwise_unchanged(net):
    plain = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    plain.load_state_dict(net.state_dict())
    adam = torch.optim.Adam(plain.parameters(), lr=1e-2)
    for _ in range(20):
        adam.zero_grad()
        sum(losses_of(plain).values()).backward()
        adam.step()
    train(net, Recorder(steps=20, every=1), 20)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize(
    ("steps", "every", "capacity"), [(10, 1, 10), (10, 3, 3), (10, 10, 1), (3, 10, 1), (1, 1, 1)]
)
def test_capacity_and_stopping_when_full(steps, every, capacity, net):
    recorder = Recorder(steps=steps, every=every)
    assert recorder.capacity == capacity
    opt = train(net, recorder, 25)
    profile = profile_of(opt.session.state, NAMES)
    assert profile.steps.tolist() == [every * n for n in range(capacity)]
    assert int(opt.session.state["age"]) == 25


def test_a_full_recorder_asks_for_no_more_gradients(net):
    opt = train(net, Recorder(steps=2, every=1), 2)
    kept = {k: v for k, v in opt.session.state.items() if k != "age"}
    opt.step(losses_of(net))
    assert all(opt.session.state[k] is v for k, v in kept.items())


def test_a_partial_profile_holds_only_what_was_seen(net):
    opt = train(net, Recorder(steps=100, every=1), 4)
    assert len(profile_of(opt.session.state, NAMES).steps) == 4


def test_a_profile_does_not_change_while_the_run_goes_on(net):
    opt = train(net, Recorder(steps=10, every=1), 3)
    profile = profile_of(opt.session.state, NAMES)
    kept = profile.gramians.copy()
    opt.step(losses_of(net))
    assert np.array_equal(profile.gramians, kept)


def test_recording_resumes_from_a_checkpoint(net):
    opt = train(net, Recorder(steps=6, every=2), 3)
    file = io.BytesIO()
    torch.save([net.state_dict(), opt.state_dict()], file)
    weights, checkpoint = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    for _ in range(3):
        opt.step(losses_of(net))

    net.load_state_dict(weights)
    resumed = train(net, Recorder(steps=6, every=2), 0)
    resumed.load_state_dict(checkpoint)
    for _ in range(3):
        resumed.step(losses_of(net))
    a, b = (profile_of(o.session.state, NAMES) for o in (opt, resumed))
    assert a.steps.tolist() == b.steps.tolist() == [0, 2, 4]
    assert np.array_equal(a.gramians, b.gramians)


def test_unknowns_of_an_inverse_problem_do_not_count(net):
    unknown = nn.Parameter(torch.tensor(2.0).double())
    sgd = torch.optim.SGD([*net.parameters(), unknown], lr=0.0)
    opt = MultiLossOptimizer(sgd, Recorder(steps=1, every=1))
    opt.step({n: v + (unknown - 7) ** 2 for n, v in losses_of(net).items()})
    found = profile_of(opt.session.state, NAMES).gramians[0]
    np.testing.assert_allclose(found, brute_force(net)[1], rtol=1e-10)


def test_recorded_beside_surgery_the_profile_is_of_the_raw_gradients(net):
    first = brute_force(net)[1]
    opt = train(net, Chain(Recorder(steps=4, every=1), make("pcgrad")), 4)
    state = {k.removeprefix("0."): v for k, v in opt.session.state.items()}
    profile = profile_of(state, NAMES)
    np.testing.assert_allclose(profile.gramians[0], first, rtol=1e-10)
    assert diagnose(profile).samples == 4
