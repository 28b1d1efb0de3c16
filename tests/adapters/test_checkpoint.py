"""Checkpoints and copies of an optimizer that trains adapters."""

from __future__ import annotations

import copy

import pytest
import torch

from conflictopt import MultiLossOptimizer, attach, make
from conflictopt.adapters import AdapterDesign

from .networks import LOSSES, Mlp, identical, losses_of, network, points, trunk_of

DESIGNS = [
    AdapterDesign(learning_rate=0.1),
    AdapterDesign("hidden", activation="linear", routing="exclusive", learning_rate=3.0),
    AdapterDesign("weights", orthogonal=True, rank=2, routing="mixed", share=0.5),
]


class Run:
    """A network, its optimizer, and how they step."""

    def __init__(self, design, adapted=True):
        self.design = design
        self.net = network(lambda: Mlp(2, 8, 8, 8, 1))
        method = make("adapters", **design.routing_options) if adapted else "sum"
        self.opt = MultiLossOptimizer(torch.optim.Adam(trunk_of(self.net), lr=1e-2), method)
        if adapted:
            self.adapt()

    def adapt(self):
        self.opt.add_adapters(attach(self.net, LOSSES, self.design))

    def step(self, count):
        for _ in range(count):
            self.opt.step(losses_of(self.net, points(self.net)))
        return self


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.placement)
def test_a_resumed_run_is_bitwise_the_uninterrupted_one(design):
    whole, first, second = Run(design).step(8), Run(design).step(4), Run(design)
    second.net.load_state_dict(first.net.state_dict())
    second.opt.load_state_dict(first.opt.state_dict())
    second.step(4)
    assert identical(whole.net.parameters(), second.net.parameters())


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.placement)
def test_a_copied_run_goes_on_bitwise(design):
    run = Run(design).step(4)
    twin = copy.deepcopy(run)
    assert twin.opt.rates == run.opt.rates
    before = [p.clone() for p in run.net.parameters()]
    twin.step(4)
    assert identical(before, run.net.parameters())
    run.step(4)
    assert identical(run.net.parameters(), twin.net.parameters())


def test_a_checkpoint_from_before_attaching():
    design = DESIGNS[0]
    plain, later = Run(design, adapted=False).step(4), Run(design, adapted=False)
    later.adapt()
    later.step(3)
    later.net.load_state_dict(plain.net.state_dict())
    later.opt.load_state_dict(copy.deepcopy(plain.opt.state_dict()))  # torch shares its tensors
    plain.adapt()
    x = points(plain.net)
    assert torch.equal(later.net(x), plain.net(x))
    for run in (later, plain):
        run.step(1)
    assert identical(trunk_of(later.net), trunk_of(plain.net))
    later.step(3)
    assert later.opt.completed == 8


def test_going_on_with_another_optimizer_keeps_the_rates():
    run = Run(DESIGNS[0]).step(2)
    down = next(iter(run.opt.blocks.values()))[0]
    sgd = run.opt.rewrap(torch.optim.SGD(run.net.parameters(), lr=1e-2))
    assert sgd.rates == dict.fromkeys(run.opt.blocks, 0.1)
    before = down.detach().clone()
    sgd.step(losses_of(run.net, points(run.net)))
    torch.testing.assert_close(down.detach() - before, -1e-3 * down.grad, rtol=1e-9, atol=1e-15)
