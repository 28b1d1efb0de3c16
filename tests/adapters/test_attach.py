"""What attaching changes: nothing, bitwise, at any time."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from conflictopt import MultiLossOptimizer, attach, make
from conflictopt.adapters import attached

from .networks import (
    LOSSES,
    Mlp,
    fields,
    fixed_random_state,
    gradients,
    identical,
    losses_of,
    network,
    points,
    total_of,
    trunk_of,
)

PLACEMENTS = ("last", "hidden", "weights", "head")
DESIGNS = [
    {"placement": p, "activation": a, **options}
    for p, a, options in itertools.product(
        PLACEMENTS, ("tanh", "linear"), ({}, {"scale": "sum"}, {"orthogonal": True, "rank": 2})
    )
]


def name(design):
    return "-".join(map(str, design.values()))


def outcome(net, x, trunk):
    """Values, three orders of input derivatives, and the trunk's gradients of losses of them."""
    return [*fields(net, x, order=3), *gradients(total_of(net, x), trunk)]


@pytest.mark.parametrize("design", DESIGNS, ids=name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.grid
def test_no_output_derivative_or_gradient_changes(dtype, design, build):
    net, layers = build(dtype)
    x, trunk = points(net, dtype), trunk_of(net)
    shapes = (x[0], x[:0], x.expand(2, 3, *x.shape))
    before, others = outcome(net, x, trunk), [net(s) for s in shapes]
    adapters = attach(net, LOSSES, layers=layers, **design)
    assert identical(outcome(net, x, trunk), before)
    assert identical([net(s) for s in shapes], others)
    assert {p.dtype for p in adapters.parameters()} == {dtype}


@pytest.mark.parametrize("design", DESIGNS, ids=name)
@pytest.mark.grid
def test_new_adapters_have_no_gradient_but_in_their_up_projections(design, build):
    net, layers = build()
    adapters = attach(net, LOSSES, layers=layers, **design)
    loss = total_of(net, points(net))
    assert not any(g.any() for g in gradients(loss, adapters.down))
    assert all(g.any() for g in gradients(loss, adapters.up))


@pytest.mark.parametrize("rate", [1.0, 0.1])
@pytest.mark.parametrize("method", ["sum", "pcgrad", "adapters"])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_next_step_of_the_trunk_is_the_plain_one(placement, method, rate):
    """In the middle of training, with shared routing: only up-projections move beside it."""
    plain, adapted = (network(lambda: Mlp(2, 8, 8, 1)) for _ in range(2))
    runs = []
    for net in (plain, adapted):
        opt = MultiLossOptimizer(torch.optim.Adam(net.parameters(), lr=1e-2), method)
        for _ in range(20):
            opt.step(losses_of(net, points(net)))
        runs.append(opt)
    adapters = attach(adapted, LOSSES, placement=placement, learning_rate=rate)
    runs[1].add_adapters(adapters)
    down = [p.clone() for p in adapters.down]
    for net, opt in zip((plain, adapted), runs, strict=True):
        opt.step(losses_of(net, points(net)))
    assert identical(trunk_of(plain), trunk_of(adapted))
    assert identical(down, adapters.down)
    assert all(p.all() for p in adapters.up)


@pytest.mark.parametrize("routing", ["exclusive", "mixed"])
def test_the_next_step_of_the_trunk_is_the_plain_one_under_any_routing(routing):
    """To rounding: gradients are then summed loss by loss."""
    nets = [network(lambda: Mlp(2, 8, 8, 1)) for _ in range(2)]
    for net, method in zip(nets, ("sum", make("adapters", routing=routing)), strict=True):
        opt = MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=1e-3), method)
        if method != "sum":
            opt.add_adapters(attach(net, LOSSES))
        opt.step(losses_of(net, points(net)))
    for a, b in zip(*map(trunk_of, nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_adapters_are_submodules_with_zero_up_projections(build):
    net, layers = build()
    adapters = attach(net, LOSSES, layers=layers, rank=3)
    assert attached(net) == adapters
    assert adapters.losses == LOSSES
    count = len(adapters.layers)
    widths = [net.get_submodule(n).in_features for n in adapters.layers for _ in LOSSES]
    assert [tuple(p.shape) for p in adapters.down] == [(w, 3) for w in widths]
    assert [tuple(p.shape) for p in adapters.up] == [(3, w) for w in widths]
    assert len(widths) == len(LOSSES) * count
    assert not any(p.any() for p in adapters.up)
    held = {id(p) for p in net.parameters()}
    assert all(id(p) in held and p.requires_grad for p in adapters.parameters())


@pytest.mark.parametrize(
    ("options", "layers", "outputs"),
    [
        ({"placement": "last"}, (3,), (6,)),
        ({"placement": "hidden"}, (1, 2, 3), (6, 7, 6)),
        ({"placement": "weights"}, (1, 2), (7, 6)),
        ({"placement": "head"}, (3,), (2,)),
        ({"placement": "hidden", "layers": ("layers.2",)}, (2,), (7,)),
        ({"placement": "weights", "layers": ("layers.?",)}, (0, 1, 2, 3), (6, 7, 6, 2)),
        ({"placement": "head", "layers": "layers.3"}, (3,), (2,)),
    ],
)
def test_placements(options, layers, outputs):
    net = network(lambda: Mlp(2, 6, 7, 6, 2))
    adapters = attach(net, LOSSES, rank=1, **options)
    assert adapters.layers == tuple(f"layers.{i}" for i in layers)
    assert tuple(bank.up[0].shape[1] for _, bank in adapters.banks) == outputs
    inputs = tuple(net.layers[i].in_features for i in layers)
    assert tuple(bank.down[0].shape[0] for _, bank in adapters.banks) == inputs


def test_a_layers_own_name_is_no_pattern():
    with fixed_random_state():
        layers = {"in": nn.Linear(2, 4), "u[0]": nn.Linear(4, 1), "u0": nn.Linear(4, 1)}
    net = nn.ModuleDict(layers)
    assert attach(net, LOSSES, layers=("u[0]",)).layers == ("u[0]",)


@pytest.mark.parametrize("options", [{}, {"placement": "hidden"}, {"rank": 1}])
def test_blocks_hold_every_parameter_once(options, build):
    net, layers = build()
    adapters = attach(net, LOSSES, layers=layers, **options)
    blocks = adapters.blocks()
    assert list(blocks) == ["adapter/pde", "adapter/bc", "adapter/ic"]
    every = [id(p) for b in blocks.values() for p in b]
    assert len(set(every)) == len(every)
    assert sorted(every) == sorted(id(p) for p in adapters.parameters())
    assert sorted(every) == sorted(id(p) for p in (*adapters.down, *adapters.up))
    own = {id(p) for n, p in net.named_parameters() if "conflictopt" in n}
    assert set(every) == own


def test_count_parameters():
    net = network(lambda: Mlp(2, 6, 7, 6, 2))
    assert attach(net, LOSSES, rank=3).count_parameters() == dict.fromkeys(LOSSES, 3 * 12)
    net = network(lambda: Mlp(2, 6, 7, 6, 2))
    found = attach(net, LOSSES[:2], rank=2, placement="weights").count_parameters()
    assert found == dict.fromkeys(LOSSES[:2], 2 * (6 + 7) + 2 * (7 + 6))


def test_down_projections_have_variance_one_over_width():
    net = network(lambda: Mlp(1, 400, 1))
    down = torch.cat([p.detach().ravel() for p in attach(net, LOSSES, rank=50).down])
    assert float(down.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(down.std()) == pytest.approx(400**-0.5, rel=0.02)


def test_the_seed_decides_the_down_projections(build):
    downs = []
    for seed in (0, 0, 1):
        net, layers = build()
        downs.append(list(attach(net, LOSSES, layers=layers, seed=seed).down))
    assert identical(downs[0], downs[1])
    assert not any(torch.equal(a, b) for a, b in zip(downs[0], downs[2], strict=True))
    assert not torch.equal(downs[0][0], downs[0][1])


def test_projections_that_are_never_called_are_no_layers():
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.head = nn.Linear(2, 8), nn.Linear(8, 1)
            self.attention = nn.MultiheadAttention(8, 2)

    assert attach(network(Attending), LOSSES).layers == ("head",)
