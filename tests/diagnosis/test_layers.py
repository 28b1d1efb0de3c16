"""Gramians by layer: what the recorder keeps beside those of the whole trunk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import conflictopt
from conflictopt import Chain, MultiLossOptimizer, Recorder, diagnose, make
from conflictopt.diagnosis.recorder import profile_of

NAMES = ("pde", "bc", "far")


@pytest.fixture
def net():
    """Two hidden layers, float64."""
    torch.manual_seed(1)
    layers = nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)
    return nn.Sequential(*layers).double()


def losses_of(net):
    x = torch.linspace(0, 1, 6).to(net[0].weight)[:, None]
    u = net(x)
    return {"pde": (u - x).square().mean(), "bc": (u[0] - 1).square().sum(), "far": u[-1].sum()}


def profile(net, aggregator, steps=4, **options):
    opt = MultiLossOptimizer(torch.optim.Adam(net.parameters(), lr=1e-2), aggregator, **options)
    for _ in range(steps):
        opt.step(losses_of(net))
    state = opt.session.state
    if isinstance(aggregator, Chain):
        state = {k.removeprefix("0."): v for k, v in state.items() if k.startswith("0.")}
    return profile_of(state, NAMES)


def test_layers_against_brute_force(net):
    rows = {}
    for name, loss in losses_of(net).items():
        rows[name] = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    found = profile(net, Recorder(steps=1, every=1), 1)
    assert found.blocks == ("network/0", "network/1", "network/2")
    for b in range(3):
        own = [torch.cat([g.ravel() for g in rows[n][2 * b : 2 * b + 2]]) for n in NAMES]
        jacobian = torch.stack(own).numpy()
        np.testing.assert_allclose(found.block_gramians[0, b], jacobian @ jacobian.T, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers_sum_to_the_trunk(dtype, net):
    found = profile(net.to(dtype), Recorder(steps=4, every=1))
    np.testing.assert_allclose(found.block_gramians.sum(axis=1), found.gramians, rtol=1e-10)


def test_layers_cost_no_further_backward_pass(net, passes):
    recorder = Recorder(steps=2, every=1)
    opt = MultiLossOptimizer(torch.optim.Adam(net.parameters()), recorder)
    losses = losses_of(net)
    passes()
    opt.step(losses)
    assert passes() == len(NAMES) + 1  # one per loss, and the plain step's


@pytest.mark.parametrize("blocks", ["physics", "global", "layer", {"all": ["network"]}])
def test_surgery_beside_it_keeps_its_blocks(blocks, net):
    """And a layout that is divided already gives the same layers."""
    start = {k: v.clone() for k, v in net.state_dict().items()}
    found = profile(net, Chain(Recorder(steps=4, every=1), make("pcgrad", blocks=blocks)))
    after = [p.detach().clone() for p in net.parameters()]
    assert found.blocks == ("network/0", "network/1", "network/2")
    net.load_state_dict(start)
    opt = MultiLossOptimizer(
        torch.optim.Adam(net.parameters(), lr=1e-2), make("pcgrad", blocks=blocks)
    )
    for _ in range(4):
        opt.step(losses_of(net))
    assert all(torch.equal(a, b) for a, b in zip(after, net.parameters(), strict=True))


def test_named_trunk_blocks_have_layers_of_their_own_and_unknowns_none(net):
    unknown = nn.Parameter(torch.tensor(2.0).double())
    sgd = torch.optim.SGD([*net.parameters(), unknown], lr=0.1)
    head = list(net[4].parameters())
    opt = MultiLossOptimizer(sgd, Recorder(steps=1, every=1), blocks={"head": head})
    opt.step({n: v + unknown**2 for n, v in losses_of(net).items()})
    assert profile_of(opt.session.state, NAMES).blocks == ("network/0", "network/1", "head/0")


def test_layers_that_change_during_the_profile_are_given_up_and_reported(net):
    opt = MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=0.1), Recorder(4, 1))
    opt.step(losses_of(net))
    net[2].requires_grad_(False)
    with pytest.warns(conflictopt.ConflictOptWarning, match="began with the layers"):
        opt.step(losses_of(net))
    opt.step(losses_of(net))
    assert opt.reports["profile without layers"].count == 1
    found = profile_of(opt.session.state, NAMES)
    assert (found.blocks, found.block_gramians, len(found.steps)) == ((), None, 3)


def test_statistics_of_every_layer(net):
    d = diagnose(profile(net, Recorder(steps=60, every=1), 60))
    assert [b.name for b in d.blocks] == ["network/0", "network/1", "network/2"]
    assert sum(b.share for b in d.blocks) == pytest.approx(1)
    assert all(len(b.pairs) == 3 and b.norm_ratio >= 1 for b in d.blocks)
    assert len(json.loads(json.dumps(d.to_json(), allow_nan=False))["blocks"]) == 3


def test_without_layers_there_are_no_statistics_of_them(profile_of_pair):
    assert diagnose(profile_of_pair([0.5] * 60)).blocks == ()
