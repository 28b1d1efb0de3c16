"""Which loss reaches which adapter: ``.grad`` is ``sum_k C[k, b] dL_k``, loss by loss."""

from __future__ import annotations

import pytest
import torch

from conflictopt import Chain, MultiLossOptimizer, attach, make

from .networks import (
    LOSSES,
    Mlp,
    acting,
    gradients,
    identical,
    losses_of,
    network,
    points,
    total_of,
    trunk_of,
)

ROUTINGS = [
    ({"routing": "shared"}, 1.0),
    ({"routing": "exclusive"}, 0.0),
    *[({"routing": "mixed", "share": s}, s) for s in (0, 0.3, 0.75, 1)],
]


@pytest.fixture(params=ROUTINGS, ids=lambda r: "-".join(map(str, r[0].values())))
def routed(request):
    """A routing method, and what it gives the losses of other adapters."""
    options, others = request.param
    return make("adapters", **options), others


@pytest.fixture(params=["last", "hidden", "weights"])
def adapted(request):
    net = network(lambda: Mlp(2, 8, 8, 8, 1))
    adapters = acting(attach(net, LOSSES, placement=request.param))
    return net, adapters


def expected(adapters, losses, trunk, others, weights=None):
    """Per parameter its gradient, from one backward pass per loss."""
    weights = weights if weights is not None else torch.ones(len(LOSSES)).double()
    blocks = adapters.blocks()
    params = [*trunk, *(p for b in blocks.values() for p in b)]
    owners = [None] * len(trunk) + [
        n.removeprefix("adapter/") for n, b in blocks.items() for _ in b
    ]
    total = [torch.zeros_like(p) for p in params]
    for weight, (name, loss) in zip(weights, losses.items(), strict=True):
        for i, g in enumerate(gradients(loss, params)):
            share = 1.0 if owners[i] in (None, name) else others
            total[i] = total[i] + weight * share * g
    return params, total


def close(params, total, tolerance=1e-10):
    for p, g in zip(params, total, strict=True):
        found = p.grad if p.grad is not None else torch.zeros_like(p)
        torch.testing.assert_close(found, g, rtol=tolerance, atol=tolerance)


def optimizer(net, adapters, method, **options):
    made = torch.optim.SGD(trunk_of(net), lr=1e-3)
    opt = MultiLossOptimizer(made, method, **options)
    opt.add_adapters(adapters)
    return opt


@pytest.mark.parametrize("engine", ["auto", "graph", "batched"])
@pytest.mark.grid
def test_every_block_gets_its_share(engine, routed, adapted):
    (net, adapters), (method, others) = adapted, routed
    opt = optimizer(net, adapters, method, engine=engine)
    opt.backward(losses_of(net, points(net)))
    close(*expected(adapters, losses_of(net, points(net)), trunk_of(net), others))


def test_in_a_chain_weights_hold_everywhere(routed, adapted):
    (net, adapters), (method, others) = adapted, routed
    weights = torch.tensor([2.0, 0.5, 30.0]).double()
    opt = optimizer(net, adapters, Chain(make("constant", weights=(2.0, 0.5, 30.0)), method))
    opt.backward(losses_of(net, points(net)))
    close(*expected(adapters, losses_of(net, points(net)), trunk_of(net), others, weights))


@pytest.mark.parametrize("first", ["ntk", "grad_norm"])
@pytest.mark.grid
def test_in_a_chain_with_weights_that_are_measured(first, routed, adapted):
    (net, adapters), (method, others) = adapted, routed
    opt = optimizer(net, adapters, Chain(make(first), method))
    x = points(net)
    residual = net(x), net(x) - 1, 3 * net(x) + x[:, :1]
    given = dict(zip(LOSSES, residual, strict=True))
    losses = {k: r.square().mean() for k, r in given.items()}
    opt.step(losses, residuals=given)
    weights = opt.last.coefficients
    weights = weights if weights.ndim == 1 else weights[:, 0]
    assert weights.unique().numel() > 1
    # the step moved the parameters: back to where the gradients were taken
    with torch.no_grad():
        for p in net.parameters():
            p.add_(p.grad, alpha=1e-3)
    residual = net(x), net(x) - 1, 3 * net(x) + x[:, :1]
    losses = {k: r.square().mean() for k, r in zip(LOSSES, residual, strict=True)}
    close(*expected(adapters, losses, trunk_of(net), others, weights), tolerance=1e-9)


def test_beside_unknowns(routed, adapted):
    """0-dimensional parameters get the plain sum."""
    (net, adapters), (method, others) = adapted, routed
    unknown = torch.nn.Parameter(torch.tensor(0.7).double())
    opt = MultiLossOptimizer(torch.optim.SGD([*trunk_of(net), unknown], lr=1e-3), method)
    opt.add_adapters(adapters)

    def losses():
        found = losses_of(net, points(net))
        return {**found, "pde": found["pde"] * unknown, "ic": found["ic"] + unknown**2}

    opt.backward(losses())
    close(*expected(adapters, losses(), [*trunk_of(net), unknown], others))


@pytest.mark.parametrize("surgery", ["pcgrad", "config"])
@pytest.mark.parametrize("placement", ["last", "weights"])
def test_surgery_gives_adapters_the_plain_sum_or_its_own_weights(surgery, placement):
    """Whatever coefficients a step chose, ``.grad`` is their combination, block by block."""
    net = network(lambda: Mlp(2, 8, 8, 8, 1))
    adapters = acting(attach(net, LOSSES, placement=placement))
    opt = optimizer(net, adapters, surgery)
    before = [p.detach().clone() for p in net.parameters()]
    opt.step(losses_of(net, points(net)))
    grads = {id(p): p.grad.clone() for p in net.parameters()}
    with torch.no_grad():
        for p, old in zip(net.parameters(), before, strict=True):
            p.copy_(old)
    c, names = opt.last.coefficients, opt.layout().names
    table = c if c.ndim == 2 else c[:, None].expand(-1, len(names))
    rows = [gradients(loss, opt.layout().params) for loss in losses_of(net, points(net)).values()]
    for b, block in enumerate(opt.layout().blocks):
        for p in opt.layout().members(block):
            i = next(i for i, q in enumerate(opt.layout().params) if q is p)
            total = sum(table[k, b] * rows[k][i] for k in range(3))
            torch.testing.assert_close(grads[id(p)], total, rtol=1e-10, atol=1e-10)


def test_shared_routing_is_the_plain_sum_bitwise(adapted):
    net, adapters = adapted
    opt = optimizer(net, adapters, make("adapters"))
    opt.backward(losses_of(net, points(net)))
    routed = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    total_of(net, points(net)).backward()
    assert identical(routed, [p.grad for p in net.parameters()])


def test_a_loss_that_does_not_reach_the_network_leaves_its_adapter_alone():
    net = network(lambda: Mlp(2, 8, 8, 1))
    adapters = acting(attach(net, LOSSES))
    unknown = torch.nn.Parameter(torch.tensor(0.7).double())
    opt = MultiLossOptimizer(
        torch.optim.Adam([*trunk_of(net), unknown], lr=1e-2), make("adapters", routing="exclusive")
    )
    opt.add_adapters(adapters)
    before = [p.clone() for p in adapters.blocks()["adapter/ic"]]
    opt.step({**losses_of(net, points(net)), "ic": unknown**2})
    assert identical(before, adapters.blocks()["adapter/ic"])
