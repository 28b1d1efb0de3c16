"""Adapters through state dicts, copies, pickles and detaching."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

from conflictopt import attach
from conflictopt.adapters import attached, detach

LOSSES = ("pde", "bc", "ic")


@pytest.fixture
def adapted(build, randomize):
    """A network with adapters that act, and its heads."""
    net, heads = build()
    randomize(attach(net, LOSSES, heads=heads))
    return net, heads


def test_state_dict_round_trip_through_a_file(adapted, build, points):
    net, heads = adapted
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    other, _ = build()
    attach(other, LOSSES, heads=heads, seed=9)
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert torch.equal(other(points()), net(points()))


def test_checkpoint_from_before_attaching_loads_and_zeroes_the_adapters(adapted, build, points):
    net, _ = adapted
    plain, _ = build()
    with torch.no_grad():
        for p in plain.parameters():
            p.mul_(1.5)
    checkpoint = plain.state_dict()
    keys, down = list(checkpoint), [p.clone() for p in attached(net).down]
    net.load_state_dict(checkpoint)
    assert torch.equal(net(points()), plain(points()))
    assert not any(p.any() for p in attached(net).up)
    assert all(torch.equal(p, d) for p, d in zip(attached(net).down, down, strict=True))
    assert list(checkpoint) == keys


def test_a_checkpoint_with_half_the_adapters_is_refused(adapted):
    net, _ = adapted
    checkpoint = net.state_dict()
    checkpoint.pop(next(k for k in reversed(checkpoint) if "adapters" in k))
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(checkpoint)


def test_detaching_restores_the_plain_network(build, points, randomize):
    net, heads = build()
    plain, keys = net(points()), list(net.state_dict())
    randomize(attach(net, LOSSES, heads=heads))
    assert not torch.equal(net(points()), plain)
    detach(net)
    assert attached(net) is None
    assert list(net.state_dict()) == keys
    assert torch.equal(net(points()), plain)
    attach(net, LOSSES, heads=heads)
    assert torch.equal(net(points()), plain)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_carry_their_own_adapters(duplicate, adapted, build, points):
    net, _ = adapted
    before = net(points())
    twin = duplicate(net)
    assert torch.equal(twin(points()), before)
    assert attached(twin) != attached(net)

    with torch.no_grad():
        attached(twin).up[0].add_(1.0)
    assert not torch.equal(twin(points()), before)
    assert torch.equal(net(points()), before)

    plain, _ = build()
    twin.load_state_dict(plain.state_dict())
    assert torch.equal(twin(points()), plain(points()))
    detach(twin)
    assert torch.equal(net(points()), before)


def test_moving_the_network_moves_the_adapters(adapted, points):
    net, _ = adapted
    expected = net(points())
    assert net.float()(points(torch.float32)).dtype == torch.float32
    torch.testing.assert_close(net(points(torch.float32)).double(), expected, rtol=1e-4, atol=1e-5)
