"""Values and gradients of adapted networks, against the formula written out."""

from __future__ import annotations

import itertools

import pytest
import torch

from conflictopt import attach
from conflictopt.adapters import attached

from .networks import (
    LOSSES,
    acting,
    deep,
    fields,
    gradients,
    identical,
    losses_of,
    network,
    points,
    total_of,
    written_out,
)

PLACEMENTS = ("last", "hidden", "weights", "head")
DESIGNS = [
    {"placement": p, "activation": a, "scale": s, "orthogonal": o, "rank": 1 if o else r}
    for p, a, s, o, r in itertools.product(
        PLACEMENTS, ("tanh", "linear"), ("mean", "sum"), (False, True), (1, 3)
    )
    if not (o and r == 3)
]
"""With rank 3, nine columns do not fit orthogonally into six inputs."""


def name(design):
    return "-".join(map(str, design.values()))


@pytest.fixture(params=DESIGNS, ids=name)
def adapted(request):
    """A network with adapters that act, of every design."""
    net = network(deep)
    acting(attach(net, LOSSES, **request.param))
    return net


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.grid
def test_values_and_input_derivatives(adapted):
    x = points(adapted)
    found = fields(adapted, x, order=3)
    close(found, fields(lambda y: written_out(adapted, y), x, order=3))


@pytest.mark.grid
def test_gradients_of_losses_with_second_input_derivatives(adapted):
    x, params = points(adapted), list(adapted.parameters())
    found = losses_of(adapted, x)
    expected = losses_of(lambda y: written_out(adapted, y), x)
    for loss in LOSSES:
        own = gradients(found[loss], params)
        close(own, gradients(expected[loss], params))
        assert all(g.any() for g in own)


@pytest.mark.grid
def test_gradients_of_gradients(adapted):
    """Once more: methods that differentiate residuals' tangent kernels read these."""
    x, params = points(adapted, count=3), list(attached(adapted).parameters())

    def second(function):
        slopes = torch.autograd.grad(total_of(function, x), params, create_graph=True)
        return gradients(sum(g.square().sum() for g in slopes), params)

    close(second(adapted), second(lambda y: written_out(adapted, y)))


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_gradients_agree_with_central_differences(placement, orthogonal):
    net = network(deep)
    params = list(
        acting(attach(net, LOSSES, placement=placement, orthogonal=orthogonal, rank=2)).parameters()
    )
    x = points(net)
    assert torch.autograd.gradcheck(lambda *_: net(x), params)


def test_every_shape_of_inputs():
    net = network(deep)
    acting(attach(net, LOSSES, placement="hidden"))
    x = points(net)
    torch.testing.assert_close(net(x.expand(3, 5, 2))[1], net(x))
    torch.testing.assert_close(net(x[0]), net(x)[0])
    assert net(x[:0]).shape == (0, 2)
    assert identical(
        gradients(net(x[:0]).sum(), list(net.parameters())),
        [torch.zeros_like(p) for p in net.parameters()],
    )


def test_the_jacobian_under_functorch():
    """Forward-mode and vectorised derivatives go through adapters too."""
    net = network(deep)
    acting(attach(net, LOSSES, placement="hidden", orthogonal=True, rank=1))
    x = points(net).detach()
    forward = torch.func.vmap(torch.func.jacfwd(net))(x)
    close([forward], [torch.func.vmap(torch.func.jacrev(net))(x)])
    explicit = [torch.autograd.functional.jacobian(net, row) for row in x]
    close([forward], [torch.stack(explicit)])
