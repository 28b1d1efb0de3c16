"""Linear adapters fold into the weights of their layers."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from conflictopt import LayoutError, attach
from conflictopt.adapters import attached, merge

from .networks import LOSSES, Mlp, acting, fields, identical, network, points

LINEAR = [
    {"placement": p, "scale": s, "orthogonal": o, "rank": 2, "activation": "linear"}
    for p, s, o in itertools.product(
        ("last", "hidden", "weights", "head"), ("mean", "sum"), (False, True)
    )
]


def hooks(net):
    return [h for m in net.modules() for h in (*m._forward_hooks, *m._forward_pre_hooks)]


@pytest.mark.parametrize("design", LINEAR, ids=lambda d: "-".join(map(str, d.values())))
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["32", "64"]
)
@pytest.mark.grid
def test_a_merged_network_is_a_plain_one_with_the_same_outputs(dtype, tolerance, design, build):
    net, layers = build(dtype)
    plain, _ = build(dtype)
    acting(attach(net, LOSSES, layers=layers, **design))
    x = points(net, dtype)
    before, start = fields(net, x), plain(x)
    merge(net)
    for a, b in zip(fields(net, x), before, strict=True):
        assert (a - b).norm() <= tolerance * b.norm()
    assert not torch.allclose(net(x), start)
    assert attached(net) is None
    assert not hooks(net)
    shapes = [{k: (v.shape, v.dtype) for k, v in n.state_dict().items()} for n in (net, plain)]
    assert shapes[0] == shapes[1]
    assert repr(net) == repr(plain)
    plain.load_state_dict(net.state_dict())
    assert torch.equal(plain(x), net(x))


def test_merging_keeps_the_parameters_an_optimizer_holds(mlp):
    held = list(map(id, mlp.parameters()))
    acting(attach(mlp, LOSSES, activation="linear"))
    merge(mlp)
    assert list(map(id, mlp.parameters())) == held
    assert all(p.requires_grad and p.is_leaf for p in mlp.parameters())
    attach(mlp, LOSSES)
    assert attached(mlp) is not None


def test_merging_a_copy_leaves_the_original(mlp):
    acting(attach(mlp, LOSSES, activation="linear", placement="hidden"))
    x = points(mlp)
    before, weights = mlp(x), [p.clone() for p in mlp.parameters()]
    twin = copy.deepcopy(mlp)
    merge(twin)
    assert torch.equal(mlp(x), before)
    assert identical(weights, list(mlp.parameters()))
    torch.testing.assert_close(twin(x), before, rtol=1e-12, atol=1e-12)


def refused(net, message):
    before, keys = [p.clone() for p in net.parameters()], list(net.state_dict())
    hooked, adapters = len(hooks(net)), attached(net)
    with pytest.raises(LayoutError, match=message):
        merge(net)
    assert identical(before, list(net.parameters()))
    assert (list(net.state_dict()), len(hooks(net)), attached(net)) == (keys, hooked, adapters)


def test_other_activations_are_refused(mlp):
    acting(attach(mlp, LOSSES, activation="tanh"))
    refused(mlp, "activation='linear', found 'tanh': what they compute is no change of weights")


def test_networks_without_adapters_are_refused(mlp):
    refused(mlp, "no adapters to merge")


def test_weights_that_are_computed_are_refused():
    """What is written into them is overwritten before the next forward pass."""
    for normalise in (parametrizations.weight_norm, nn.utils.weight_norm):
        net = network(lambda: Mlp(2, 8, 8, 1))
        normalise(net.layers[2])
        net(points(net))
        acting(attach(net, LOSSES, activation="linear", placement="hidden"))
        refused(net, r"weights of their own, found that of 'layers\.2' computed")


def test_weights_that_layers_share_are_refused():
    net = network(lambda: Mlp(2, 8, 8, 8, 1))
    net.layers[1].weight = net.layers[2].weight
    acting(attach(net, LOSSES, activation="linear", placement="weights", layers=("layers.2",)))
    refused(net, r"weights of their own, found that of 'layers\.2' shared")
