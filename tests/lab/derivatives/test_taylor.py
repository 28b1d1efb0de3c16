"""Taylor mode against nested reverse mode: values and gradients in the parameters."""

from __future__ import annotations

import os

os.environ["DDE_BACKEND"] = os.environ["DDEBACKEND"] = "pytorch"

import deepxde as dde
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import conflictopt
from conflictopt.adapters import detach
from conflictopt.adapters.design import PLACEMENTS
from conflictopt.lab.derivatives import nested, taylor
from conflictopt.lab.derivatives.indices import Operator, Wanted
from conflictopt.lab.derivatives.trunk import AffineInputs, trunk_of
from conflictopt.lab.problems import Suite
from conflictopt.lab.problems.network import FullyConnected
from conflictopt.lab.problems.operators import plan

IDS = list(Suite())


def points(n, d, dtype=torch.float64, seed=1):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed)).to(dtype)


def weights_of(wanted, n, per_point=True, seed=2):
    source = torch.Generator().manual_seed(seed)
    return tuple(
        torch.rand(op.terms, n if per_point else 1, generator=source).double() - 0.3
        for op in wanted.operators
    )


def attached(net, rank=3, **options):
    """Adapters with factors that are not zero."""
    made = conflictopt.attach(net, ["first", "second"], rank=rank, **options)
    for k, parameter in enumerate(made.up):
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(k))
    return net


# ---------------------------------------------------------------- the suite


@pytest.mark.grid
@pytest.mark.parametrize("variant", ["plain", "adapters", "sine"])
@pytest.mark.parametrize("name", IDS)
def test_every_problem_of_the_suite(suite, agree, name, variant):
    problem = suite[name]
    known = frozenset(problem.spec.jets.coordinates) | frozenset(problem.spec.jets.opaque)
    members = [m for loss in problem.spec.losses for m in loss.members]
    wanted = plan(problem.spec.jets, [m.expression for m in members], known).wanted
    net = problem.network(problem.sizes(6), 3, torch.float64)
    for layer in net.linears:
        nn.init.normal_(layer.bias, std=0.3, generator=torch.Generator().manual_seed(4))
    if variant == "adapters":
        attached(net)
    if variant == "sine":
        net.activation = torch.sin
    geometry = problem.spec.geometry
    x = torch.tensor(geometry.interior(5, np.random.default_rng(0)))
    agree(net, x, wanted, weights_of(wanted, 5))


@pytest.fixture(scope="module")
def suite():
    return Suite()


# ---------------------------------------------------------------- kinds of derivatives

WANTED = {
    "value": Wanted(((),)),
    "first": Wanted(((0,),)),
    "last": Wanted(((2,),)),
    "all first": Wanted(((0,), (1,), (2,))),
    "second": Wanted(((1, 1),)),
    "mixed": Wanted(((0, 1),)),
    "all second": Wanted(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))),
    "third": Wanted(((0, 0, 0), (0, 1, 2), (0, 0, 2))),
    "fourth": Wanted(((0, 0, 0, 0),)),
    "fourth mixed": Wanted(((0, 0, 1, 1), (0, 1, 2, 2), (1, 1, 1, 2))),
    "of every order": Wanted(((), (2,), (0, 0), (0, 1, 1), (2, 2, 2, 2))),
    "Laplacian": Wanted((), (Operator((0, 1, 2)),)),
    "heat": Wanted(((),), (Operator((0, 1), (2,)),)),
    "apart": Wanted((), (Operator((0, 2)),)),
    "backwards": Wanted((), (Operator((2, 0), (1,)),)),
    "two": Wanted(((1,),), (Operator((0, 1)), Operator((2,), (0, 1)))),
    "three": Wanted(((0, 1),), (Operator((0,)), Operator((0, 2), (1,)), Operator((1, 2)))),
    "beside its own terms": Wanted(((0, 0), (1, 1), (2,)), (Operator((0, 1), (2,)),)),
    "beside order four": Wanted(((0, 1, 2, 2),), (Operator((2, 1), (0, 2)), Operator((0, 2)))),
    "a first derivative twice": Wanted((), (Operator((0,), (0, 1)),)),
    "a second derivative twice": Wanted((), (Operator((0, 0)),)),
}
every_kind = pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)


@every_kind
@pytest.mark.parametrize("outputs", [1, 3])
def test_kinds(sequential, agree, wanted, outputs):
    agree(sequential(3, outputs), points(7, 3), wanted, weights_of(wanted, 7))


@every_kind
def test_kinds_with_adapters(sequential, agree, wanted):
    agree(attached(sequential(3, 2)), points(7, 3), wanted, weights_of(wanted, 7))


@every_kind
def test_one_point(sequential, agree, wanted):
    agree(sequential(3, 2), points(1, 3), wanted, weights_of(wanted, 1))


@every_kind
def test_weights_that_are_the_same_everywhere(sequential, agree, wanted):
    agree(sequential(3, 2), points(6, 3), wanted, weights_of(wanted, 6, per_point=False))


@every_kind
def test_float32(sequential, wanted):
    """Close to float64, and of the dtype of the network."""
    double = sequential(3, 2)
    single = sequential(3, 2, dtype=torch.float32)
    x, weights = points(9, 3), weights_of(wanted, 9)
    expected, sums = taylor.derivatives(double, x, wanted, weights)
    found, single_sums = taylor.derivatives(single, x.float(), wanted, [w.float() for w in weights])
    for a, b in zip([*found.values(), *single_sums], [*expected.values(), *sums], strict=True):
        assert a.dtype == torch.float32
        assert torch.allclose(a.double(), b, rtol=2e-4, atol=2e-5 * b.abs().max().item())


@every_kind
def test_every_derivative_alone_has_the_right_gradient(sequential, wanted):
    """One at a time, so that no error hides behind the others."""
    net, x, weights = sequential(3, 2, width=5), points(4, 3), weights_of(wanted, 4)
    parameters = list(net.parameters())

    def gradients(mode):
        found, sums = mode.derivatives(net, x, wanted, weights)
        return [
            torch.autograd.grad(
                v[:, k].square().sum(), parameters, retain_graph=True, allow_unused=True
            )
            for v in [*found.values(), *sums]
            for k in range(2)
        ]

    for first, second in zip(gradients(taylor), gradients(nested), strict=True):
        for a, b in zip(first, second, strict=True):
            a, b = (torch.zeros(1).double() if g is None else g for g in (a, b))
            assert (a - b).norm() <= 1e-11 * b.norm() + 1e-13


def test_nothing_at_all(sequential):
    assert taylor.derivatives(sequential(2), points(3, 2), Wanted(())) == ({}, ())
    assert nested.derivatives(sequential(2), points(3, 2), Wanted(())) == ({}, ())


def test_operators_are_the_sums_of_their_terms(sequential):
    net, x = sequential(3, 2), points(8, 3)
    wanted = Wanted(((0, 0), (1, 1), (2,)), (Operator((1, 0), (2,)),))
    (w,) = weights_of(wanted, 8)
    found, (total,) = taylor.derivatives(net, x, wanted, (w,))
    terms = [found[1, 1], found[0, 0], found[2,]]
    expected = sum(wi[:, None] * t for wi, t in zip(w, terms, strict=True))
    assert torch.allclose(total, expected, rtol=1e-12)


def test_against_a_closed_form():
    """One neuron: u = sin(a x + b y + c), so that neither mode is the other's judge."""
    net = FullyConnected([2, 1, 1], [-1, -1], [1, 1], 0, torch.float64)
    net.activation = torch.sin
    with torch.no_grad():
        net.linears[0].weight.copy_(torch.tensor([[1.5, -0.5]]))
        net.linears[0].bias.fill_(0.3)
        net.linears[1].weight.fill_(2.0)
        net.linears[1].bias.fill_(-1.0)
    x = points(6, 2)
    wanted = Wanted(((), (0,), (0, 1), (0, 0, 1), (1, 1, 1, 1)), (Operator((0, 1), (1,)),))
    found, (total,) = taylor.derivatives(
        net, x, wanted, (torch.tensor([[1.0], [2.0], [3.0]]).double(),)
    )
    phase = 1.5 * x[:, :1] - 0.5 * x[:, 1:] + 0.3
    sin, cos = 2 * torch.sin(phase), 2 * torch.cos(phase)
    expected = [sin - 1, 1.5 * cos, 0.75 * sin, 1.125 * cos, 0.0625 * sin]
    for value, e in zip(found.values(), expected, strict=True):
        assert torch.allclose(value, e, rtol=1e-13)
    assert torch.allclose(total, -(2.25 + 2 * 0.25) * sin - 1.5 * cos, rtol=1e-13)


def test_gradients_by_finite_differences(sequential):
    net, x = sequential(2, 1, width=4, depth=2), points(5, 2)
    wanted = Wanted(((0, 0, 1),), (Operator((0, 1)),))
    weights = weights_of(wanted, 5)

    def value():
        found, (total,) = taylor.derivatives(net, x, wanted, weights)
        return (found[0, 0, 1] * total).mean() + total.square().mean()

    gradients = torch.autograd.grad(value(), list(net.parameters()), allow_unused=True)
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        flat = parameter.data.view(-1)
        for k in range(0, len(flat), 3):
            kept = flat[k].item()
            ends = []
            for step in (1e-5, -1e-5):
                flat[k] = kept + step
                ends.append(value().item())
            flat[k] = kept
            expected = (ends[0] - ends[1]) / 2e-5
            got = 0.0 if gradient is None else gradient.reshape(-1)[k].item()
            assert got == pytest.approx(expected, rel=2e-6, abs=1e-7)


# ---------------------------------------------------------------- kinds of networks

SOME = Wanted(((), (0,), (0, 1), (1, 1, 1)), (Operator((0, 1)),))


@pytest.fixture
def deepxdes():
    """``deepxdes(activation, affine)``: DeepXDE's fully connected network, in float64."""
    dde.config.set_default_float("float64")

    def build(activation, affine):
        torch.manual_seed(0)
        net = dde.nn.FNN([2, 9, 7, 2], activation, "Glorot normal")
        if affine:
            net.apply_feature_transform(AffineInputs([0, -1], [3, 1], torch.float64))
        return net

    yield build
    dde.config.set_default_float("float32")


@pytest.mark.parametrize("activation", ["tanh", "sin"])
@pytest.mark.parametrize("affine", [True, False])
def test_deepxdes_network(deepxdes, agree, activation, affine):
    net = deepxdes(activation, affine)
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))
    agree(attached(net), points(6, 2), SOME, weights_of(SOME, 6))


@pytest.mark.parametrize("affine", [True, False])
def test_deepxdes_network_with_torchs_activation(deepxdes, agree, affine):
    net = deepxdes("tanh", affine)
    net.activation = torch.tanh
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))
    agree(attached(net), points(6, 2), SOME, weights_of(SOME, 6))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_sequential_networks(sequential, agree, affine, bias, depth):
    net = sequential(2, 2, affine=affine, bias=bias, depth=depth)
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))


def test_a_linear_network(agree):
    net = FullyConnected([2, 3], [0, 0], [1, 2], 0, torch.float64)
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))


def test_widths_may_differ(agree):
    net = FullyConnected([2, 5, 11, 3, 2], [0, 0], [1, 2], 0, torch.float64)
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))


def test_parametrised_layers(sequential, agree):
    net = sequential(2, 1)
    for k in (1, 3):
        weight_norm(net[k])
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))


def test_frozen_parameters(sequential, agree):
    net = sequential(2, 1)
    net[1].weight.requires_grad_(False)
    net[3].bias.requires_grad_(False)
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))
    net.requires_grad_(False)
    found, _ = taylor.derivatives(net, points(6, 2), SOME, weights_of(SOME, 6))
    assert not found[0, 1].requires_grad


@pytest.mark.parametrize("options", [{"scale": "sum"}, {"orthogonal": True}])
@pytest.mark.parametrize("activation", ["tanh", "linear"])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_design_of_adapters(agree, placement, activation, options):
    net = FullyConnected([2, 6, 6, 6, 1], [0, 0], [1, 1], 0, torch.float64)
    attached(net, placement=placement, activation=activation, **options)
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))
    detach(net)
    agree(net, points(6, 2), SOME, weights_of(SOME, 6))


def test_new_adapters_change_nothing():
    net = FullyConnected([2, 6, 6, 1], [0, 0], [1, 1], 0, torch.float64)
    x, weights = points(6, 2), weights_of(SOME, 6)
    before, _ = taylor.derivatives(net, x, SOME, weights)
    conflictopt.attach(net, ["a", "b", "c"], rank=2)
    after, _ = taylor.derivatives(net, x, SOME, weights)
    assert all(torch.equal(before[p], after[p]) for p in SOME.partials)


def test_a_trunk_is_as_good_as_a_network(sequential):
    net, x, weights = sequential(2, 2), points(6, 2), weights_of(SOME, 6)
    first, second = (taylor.derivatives(n, x, SOME, weights) for n in (net, trunk_of(net)))
    assert all(torch.equal(first[0][p], second[0][p]) for p in SOME.partials)
    assert torch.equal(first[1][0], second[1][0])


def test_the_value_is_the_networks(sequential):
    net, x = sequential(3, 2), points(9, 3)
    for wanted in (Wanted(((),)), Wanted(((), (0, 0)))):
        assert torch.allclose(taylor.derivatives(net, x, wanted)[0][()], net(x), rtol=1e-14)


def test_without_gradients(sequential):
    net, x, weights = sequential(2, 1), points(4, 2), weights_of(SOME, 4)
    with torch.no_grad():
        found, (total,) = taylor.derivatives(net, x, SOME, weights)
    expected, (other,) = nested.derivatives(net, x, SOME, weights)
    assert not found[0, 1].requires_grad
    assert torch.allclose(found[0, 1], expected[0, 1], rtol=1e-12)
    assert torch.allclose(total, other, rtol=1e-12)


def test_nested_mode_leaves_the_points_alone(sequential):
    net, x = sequential(2, 1), points(4, 2)
    with torch.no_grad():  # it needs a graph of its own
        found, _ = nested.derivatives(net, x, SOME, weights_of(SOME, 4))
    assert not x.requires_grad
    assert x.grad is None
    assert found[0, 1].requires_grad


def test_nested_mode_of_other_functions():
    """Constants, linear functions and columns that do not depend on all inputs."""
    x = points(5, 2)

    def function(x):
        return torch.stack(
            [x[:, 0] ** 2, 3 * x[:, 1], torch.ones(5).double(), x[:, 0] * x[:, 1]], 1
        )

    wanted = Wanted(((0,), (0, 0), (0, 1), (0, 0, 0)), (Operator((0, 1), (1,)),))
    found, (total,) = nested.derivatives(function, x, wanted, (torch.ones(3, 1).double(),))
    zero = torch.zeros(5).double()
    assert torch.equal(found[0,], torch.stack([2 * x[:, 0], zero, zero, x[:, 1]], 1))
    assert torch.equal(found[0, 0], torch.stack([zero + 2, zero, zero, zero], 1))
    assert torch.equal(found[0, 1], torch.stack([zero, zero, zero, zero + 1], 1))
    assert torch.equal(found[0, 0, 0], torch.zeros(5, 4).double())
    assert torch.equal(total, torch.stack([zero + 2, zero + 3, zero, x[:, 0]], 1))


def test_global_generators_are_left_alone(sequential):
    net, x = sequential(2, 1), points(4, 2)
    before = torch.get_rng_state()
    taylor.derivatives(net, x, SOME, weights_of(SOME, 4))
    nested.derivatives(net, x, SOME, weights_of(SOME, 4))
    assert torch.equal(before, torch.get_rng_state())
