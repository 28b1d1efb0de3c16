"""What Taylor mode cannot follow it refuses; nothing is computed wrongly in silence."""

from __future__ import annotations

import os

os.environ["DDE_BACKEND"] = os.environ["DDEBACKEND"] = "pytorch"

import pickle

import deepxde as dde
import pytest
import torch
from torch import nn

import conflictopt
from conflictopt.core.errors import ConflictOptError
from conflictopt.lab.derivatives import nested, taylor
from conflictopt.lab.derivatives.derivative_error import DerivativeError
from conflictopt.lab.derivatives.indices import Operator, Wanted
from conflictopt.lab.derivatives.trunk import trunk_of
from conflictopt.lab.problems import derivatives_of
from conflictopt.lab.problems.network import FullyConnected

SLOPE = Wanted(((0,),))
LAPLACIAN = Wanted((), (Operator((0, 1)),))


def ours(dtype=torch.float64):
    return FullyConnected([2, 6, 6, 1], [0, 0], [1, 1], 0, dtype)


def points(n=4):
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(0)).double()


class Skip(nn.Module):
    """Residual connections between layers of one width."""

    def __init__(self):
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(2, 6), nn.Linear(6, 6), nn.Linear(6, 1)]).double()
        self.activation = torch.tanh

    def forward(self, x):
        h = torch.tanh(self.linears[0](x))
        h = h + torch.tanh(self.linears[1](h))
        return self.linears[2](h)


class Hard(FullyConnected):
    """A hard boundary condition on top of our network."""

    def forward(self, x):
        return super().forward(x) * x[:, :1]


class Scaled(nn.Linear):
    """Another kind of linear layer."""

    def forward(self, x):
        return 3 * super().forward(x)


def refuses(net, message, wanted=SLOPE):
    with pytest.raises(DerivativeError, match=message) as caught:
        taylor.derivatives(
            net, points(), wanted, [torch.ones(2, 1).double()] * len(wanted.operators)
        )
    assert isinstance(caught.value, (ConflictOptError, TypeError))
    text = str(caught.value)
    assert f"Taylor mode cannot follow this {type(net).__name__}: " in text
    assert "Supported: conflictopt's FullyConnected" in text
    assert text.endswith("Use the nested derivatives instead.")
    nested.derivatives(net, points(), wanted, [torch.ones(2, 1).double()] * len(wanted.operators))


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("between", [nn.ReLU(), nn.Sigmoid(), nn.Softplus(), nn.Identity()])
def test_other_activations(between):
    net = nn.Sequential(nn.Linear(2, 4), between, nn.Linear(4, 1)).double()
    refuses(net, f"the activation {type(between).__name__} is not known")


@pytest.mark.parametrize("activation", [torch.relu, torch.sigmoid, nn.Tanh(), torch.cos])
def test_other_callables(activation):
    net = ours()
    net.activation = activation
    refuses(net, "the activation .* is not known")


def test_different_activations():
    layers = [nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)]
    refuses(nn.Sequential(*layers).double(), "not linear layers with one activation between")


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Linear(2, 4), nn.Tanh()],
        [nn.Tanh(), nn.Linear(2, 1)],
        [nn.Linear(2, 4), nn.Linear(4, 1)],
        [nn.Linear(2, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 1)],
        [nn.Linear(2, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1)],
        [nn.Linear(2, 1)],
    ],
    ids=["no last", "no first", "no activation", "norm", "dropout", "one layer"],
)
def test_other_sequences(layers):
    refuses(nn.Sequential(*layers).double(), "one activation between")


def test_no_layers_at_all():
    refuses(nn.Linear(2, 1).double(), "its class is none of these")
    with pytest.raises(DerivativeError, match="one activation between"):
        taylor.derivatives(nn.Sequential(), points(), SLOPE)


def test_layers_that_do_not_follow_each_other():
    net = ours()
    net.linears[1] = nn.Linear(5, 6).double()
    with pytest.raises(DerivativeError, match="its linear layers do not follow each other"):
        taylor.derivatives(net, points(), SLOPE)


@pytest.mark.parametrize("kind", ["forward", "pre"])
@pytest.mark.parametrize("adapters", [False, True])
def test_hooks_of_layers(kind, adapters):
    net = ours()
    if adapters:
        conflictopt.attach(net, ["a", "b"], rank=2)
    layer = net.linears[-1]
    if kind == "forward":
        layer.register_forward_hook(lambda m, i, o: 2 * o)
    else:
        layer.register_forward_pre_hook(lambda m, i: (2 * i[0],))
    refuses(net, "it has hooks")


def test_transforms_of_deepxde():
    for change, message in {
        "apply_output_transform": "it transforms its outputs",
        "apply_feature_transform": "other than AffineInputs",
    }.items():
        net = dde.nn.FNN([2, 4, 1], "tanh", "Glorot normal").double()
        net.activation = torch.tanh
        getattr(net, change)(lambda *x: x[-1])
        refuses(net, message)


def test_regularised_and_dropping_networks():
    net = dde.nn.FNN([2, 4, 1], "tanh", "Glorot normal", ["l2", 1e-3]).double()
    net.activation = torch.tanh
    refuses(net, "it has a regularizer or dropout")
    net = ours()
    net.dropout_rate = 0.1
    refuses(net, "it has a regularizer or dropout")


def test_a_list_of_activations():
    net = dde.nn.FNN([2, 4, 1], ["tanh", "tanh"], "Glorot normal").double()
    refuses(net, "is not known")


def test_adapters_at_the_inputs():
    net = ours()
    conflictopt.attach(net, ["a", "b"], rank=2)
    net.linears[0].conflictopt_adapters = net.linears[-1].conflictopt_adapters
    with pytest.raises(DerivativeError, match="does not follow adapters at the network's input"):
        taylor.derivatives(net, points(), SLOPE)


def test_modes():
    assert derivatives_of(ours(), "nested")(points(), SLOPE, ())[0][0,].shape == (4, 1)
    assert derivatives_of(ours())(points(), SLOPE, ())[0][0,].shape == (4, 1)
    with pytest.raises(ValueError, match="'taylor_apart' or 'nested', found 'forward'"):
        derivatives_of(ours(), "forward")


# ---------------------------------------------------------------- weights and gradients


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((), "expected weights for 1 operators, found 0"),
        ((torch.ones(2, 1),) * 2, "expected weights for 1 operators, found 2"),
        ((torch.ones(2),), r"expected weights \[2, 4\] or \[2, 1\] for an operator, found \[2\]"),
        ((torch.ones(3, 4),), r"found \[3, 4\]"),
        ((torch.ones(2, 3),), r"found \[2, 3\]"),
        ((torch.ones(2, 4, 1),), r"found \[2, 4, 1\]"),
    ],
)
def test_weights_that_do_not_fit(weights, message):
    with pytest.raises(DerivativeError, match=message):
        taylor.derivatives(ours(), points(), LAPLACIAN, weights)


def test_a_second_backward_pass_through_the_gradient_is_refused():
    net = ours()
    found, _ = taylor.derivatives(net, points(), Wanted(((0, 0),)))
    (gradient,) = torch.autograd.grad(
        found[0, 0].square().mean(), net.linears[0].weight, create_graph=True
    )
    with pytest.raises(RuntimeError, match="differentiate twice a function"):
        gradient.sum().backward()


def test_errors_survive_pickling():
    error = DerivativeError("what")
    assert str(pickle.loads(pickle.dumps(error))) == "what"


# ---------------------------------------------------------------- once wrong


def differ(net):
    """How far the values of the two modes are apart."""
    wanted = Wanted(((), (0,)))
    first, second = (m.derivatives(net, points(), wanted)[0] for m in (taylor, nested))
    return max((first[p] - second[p]).abs().max().item() for p in wanted.partials)


def with_hook(kind):
    net = ours()
    if kind == "forward":
        net.register_forward_hook(lambda m, i, o: 2 * o)
    else:
        net.register_forward_pre_hook(lambda m, i: (2 * i[0],))
    return net


def with_layer():
    net = ours()
    net.linears[1] = Scaled(6, 6).double()
    return net


SILENT = {
    "skip connections": Skip,
    "a subclass": lambda: Hard([2, 6, 6, 1], [0, 0], [1, 1], 0, torch.float64),
    "a hook of the network": lambda: with_hook("forward"),
    "a hook before the network": lambda: with_hook("pre"),
    "another kind of layer": with_layer,
    "another kind of layer in a sequence": lambda: nn.Sequential(
        nn.Linear(2, 4), nn.Tanh(), Scaled(4, 1)
    ).double(),
}


@pytest.mark.parametrize("kind", SILENT)
def test_other_networks_are_refused_or_followed(kind):
    net = SILENT[kind]()
    try:
        trunk_of(net)
    except DerivativeError:
        return
    assert differ(net) < 1e-12


def test_weights_with_gradient_are_refused_or_followed():
    w = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    try:
        _, (total,) = taylor.derivatives(ours(), points(), LAPLACIAN, (w,))
    except DerivativeError:
        return
    _, (expected,) = nested.derivatives(ours(), points(), LAPLACIAN, (w,))
    found = torch.autograd.grad(total.sum(), w, allow_unused=True)[0]
    assert torch.allclose(found, torch.autograd.grad(expected.sum(), w)[0])


def test_an_operator_of_first_derivatives_alone():
    wanted = Wanted((), (Operator((), (0, 1)),))
    w = torch.tensor([[2.0], [3.0]]).double()
    _, (expected,) = nested.derivatives(ours(), points(), wanted, (w,))
    _, (found,) = taylor.derivatives(ours(), points(), wanted, (w,))
    assert torch.allclose(found, expected)
