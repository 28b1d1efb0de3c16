"""Adapters through state dicts, copies, pickles and detaching."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

from conflictopt import LayoutError, attach
from conflictopt.adapters import AdapterDesign, attached, detach, saved_adapters

from .networks import LOSSES, Mlp, acting, identical, network, points

DESIGNS = [
    AdapterDesign(),
    AdapterDesign("hidden", rank=1, activation="linear", scale="sum", learning_rate=0.1),
    AdapterDesign("weights", orthogonal=True, rank=2, routing="exclusive"),
    AdapterDesign("head", routing="mixed", share=0.6),
]


@pytest.fixture(params=DESIGNS, ids=lambda d: d.placement)
def design(request):
    return request.param


@pytest.fixture
def adapted(build, design):
    """A network with adapters that act, and another with the same weights and new adapters."""
    net, layers = build()
    acting(attach(net, LOSSES, design, layers=layers))
    other, _ = build()
    attach(other, LOSSES, design, layers=layers, seed=9)
    return net, other


def test_state_dict_round_trip_through_a_file(adapted):
    net, other = adapted
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    assert not torch.equal(other(points(net)), net(points(net)))
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert torch.equal(other(points(net)), net(points(net)))


def test_a_state_dict_says_what_to_attach(adapted, build):
    net, _ = adapted
    losses, design = saved_adapters(net.state_dict())
    assert losses == LOSSES
    assert design.layers == attached(net).layers
    other, _ = build()
    attach(other, losses, design)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(points(net)), net(points(net)))
    assert saved_adapters(build()[0].state_dict()) is None


def test_checkpoint_from_before_attaching_loads_and_zeroes_the_adapters(adapted, build):
    net, _ = adapted
    plain, _ = build()
    with torch.no_grad():
        for p in plain.parameters():
            p.mul_(1.5)
    checkpoint = plain.state_dict()
    keys, down = list(checkpoint), [p.clone() for p in attached(net).down]
    net.load_state_dict(checkpoint)
    assert torch.equal(net(points(net)), plain(points(net)))
    assert not any(p.any() for p in attached(net).up)
    assert identical(attached(net).down, down)
    assert list(checkpoint) == keys


def test_a_checkpoint_with_half_the_adapters_is_refused(adapted):
    net, _ = adapted
    checkpoint = net.state_dict()
    checkpoint.pop(next(k for k in reversed(checkpoint) if "conflictopt" in k and "about" not in k))
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(checkpoint)


@pytest.mark.parametrize(
    ("losses", "options", "message"),
    [
        (("pde", "ic", "bc"), {}, r"adapters of \('pde', 'ic', 'bc'\), found those of \('pde'"),
        (LOSSES, {"activation": "linear"}, "activation='linear', found activation='tanh'"),
        (LOSSES, {"scale": "sum"}, "scale='sum', found scale='mean'"),
        (LOSSES, {"orthogonal": True, "rank": 2}, "orthogonal=True, found orthogonal=False"),
        (LOSSES, {"rank": 3}, "rank=3, found rank=2"),
        (LOSSES, {"placement": "weights", "layers": "layers.2"}, "placement='weights', found pl"),
    ],
)
def test_a_checkpoint_of_adapters_that_compute_something_else_is_refused(
    losses, options, message, mlp
):
    saved = network(lambda: Mlp(2, 8, 8, 1))
    attach(saved, LOSSES, rank=2)
    attach(mlp, losses, **{"rank": 2, **options})
    with pytest.raises(LayoutError, match=message):
        mlp.load_state_dict(saved.state_dict())


def test_routing_and_learning_rate_are_the_runs_own(mlp):
    saved = network(lambda: Mlp(2, 8, 8, 1))
    acting(attach(saved, LOSSES, routing="exclusive", learning_rate=0.1))
    attach(mlp, LOSSES, routing="mixed", share=0.5)
    mlp.load_state_dict(saved.state_dict())
    assert torch.equal(mlp(points(mlp)), saved(points(mlp)))
    assert attached(mlp).design == AdapterDesign(routing="mixed", share=0.5)
    assert saved_adapters(mlp.state_dict())[1].share == 0.5


def test_detaching_restores_the_plain_network(build, design):
    net, layers = build()
    x = points(net)
    plain, keys = net(x), list(net.state_dict())
    acting(attach(net, LOSSES, design, layers=layers))
    assert not torch.equal(net(x), plain)
    detach(net)
    assert attached(net) is None
    assert list(net.state_dict()) == keys
    assert torch.equal(net(x), plain)
    attach(net, LOSSES, design, layers=layers)
    assert torch.equal(net(x), plain)


def test_detaching_leaves_the_users_hooks(mlp, design):
    seen = []
    for layer in mlp.layers:
        layer.register_forward_hook(lambda *_: seen.append("after"))
        layer.register_forward_pre_hook(lambda *_: seen.append("before"))
    attach(mlp, LOSSES, design)
    detach(mlp)
    mlp(points(mlp))
    assert seen == ["before", "after"] * 3


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_carry_their_own_adapters(duplicate, adapted, build):
    net, _ = adapted
    x = points(net)
    before = net(x)
    twin = duplicate(net)
    assert torch.equal(twin(x), before)
    assert attached(twin) != attached(net)
    assert attached(twin).design == attached(net).design

    with torch.no_grad():
        attached(twin).up[0].add_(1.0)
    assert not torch.equal(twin(x), before)
    assert torch.equal(net(x), before)

    plain, _ = build()
    twin.load_state_dict(plain.state_dict())
    assert torch.equal(twin(x), plain(x))
    detach(twin)
    assert torch.equal(net(x), before)


def test_moving_the_network_moves_the_adapters(adapted):
    net, other = adapted
    expected, x = net(points(net)), points(net, torch.float32)
    assert net.float()(x).dtype == torch.float32
    torch.testing.assert_close(net(x).double(), expected, rtol=1e-4, atol=1e-4)
    single = net(x)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(x.double()).float(), single, rtol=1e-4, atol=1e-4)
    assert attached(net.double()).up[0].dtype == torch.float64
