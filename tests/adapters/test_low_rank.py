"""Low-rank adapters: what attaching changes (nothing), what they compute, whom they obey."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from conflictopt import MultiLossOptimizer, attach, make
from conflictopt.adapters import attached

LOSSES = ("pde", "bc", "ic")


def fields(net, x):
    """Values with their first and (summed) second input derivatives."""
    u = net(x)
    (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    return u, first, second


def losses_of(net, x):
    """Three losses, of values, first and second derivatives."""
    u, first, second = fields(net, x)
    return {
        "pde": (second.sum(dim=1) - u[:, 0]).square().mean(),
        "bc": (u - 1).square().mean(),
        "ic": first.square().mean(),
    }


def total_of(net, x):
    return sum(losses_of(net, x).values())


def trunk_of(net):
    return [p for n, p in net.named_parameters() if "conflictopt" not in n]


def gradients(loss, params):
    return torch.autograd.grad(loss, params, retain_graph=True, materialize_grads=True)


def identical(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# -- attaching ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_attaching_changes_no_output_derivative_or_gradient(dtype, build, points):
    net, heads = build(dtype)
    x, trunk = points(dtype), trunk_of(net)
    before = [*fields(net, x), *gradients(total_of(net, x), trunk)]
    adapters = attach(net, LOSSES, heads=heads)
    assert identical([*fields(net, x), *gradients(total_of(net, x), trunk)], before)
    assert {p.dtype for p in adapters.parameters()} == {dtype}


def test_adapters_are_submodules_with_zero_up_projections(build):
    net, heads = build()
    adapters = attach(net, LOSSES, heads=heads, rank=3)
    assert attached(net) == adapters
    count = len(LOSSES) * len(heads or [1])
    assert [tuple(p.shape) for p in adapters.down] == [(8, 3)] * count
    assert [tuple(p.shape) for p in adapters.up] == [(3, 8)] * count
    assert not any(p.any() for p in adapters.up)
    held = {id(p) for p in net.parameters()}
    assert all(id(p) in held and p.requires_grad for p in adapters.parameters())


def test_blocks_give_each_loss_its_own_parameters_in_every_head(build):
    net, heads = build()
    adapters = attach(net, LOSSES, heads=heads)
    blocks = adapters.blocks()
    assert list(blocks) == ["adapter/pde", "adapter/bc", "adapter/ic"]
    assert {len(b) for b in blocks.values()} == {2 * len(heads or [1])}
    every = [id(p) for b in blocks.values() for p in b]
    assert sorted(every) == sorted(id(p) for p in adapters.parameters())


def test_down_projections_have_variance_one_over_width():
    net = nn.ModuleDict({"hidden": nn.Linear(1, 400), "head": nn.Linear(400, 1)})
    down = torch.cat([p.detach().ravel() for p in attach(net, LOSSES, rank=50).down])
    assert float(down.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(down.std()) == pytest.approx(400**-0.5, rel=0.02)


def test_seed_decides_the_down_projections_and_the_global_one_is_untouched(build):
    before = torch.get_rng_state()
    downs = []
    for seed in (0, 0, 1):
        net, heads = build()
        torch.set_rng_state(before)
        downs.append(list(attach(net, LOSSES, heads=heads, seed=seed).down))
        assert torch.equal(torch.get_rng_state(), before)
    assert identical(downs[0], downs[1])
    assert not any(torch.equal(a, b) for a, b in zip(downs[0], downs[2], strict=True))
    assert not torch.equal(downs[0][0], downs[0][1])


# -- the formula -------------------------------------------------------------------------------


def formula(net, adapters, x):
    """The adapted ``Mlp``, written out: ``h + (1/K) sum_k tanh(h D_k) U_k`` before its head."""
    h = x
    for layer in net.layers[:-1]:
        h = torch.tanh(h @ layer.weight.T + layer.bias)
    added = [torch.tanh(h @ d) @ u for d, u in zip(adapters.down, adapters.up, strict=True)]
    head = net.layers[-1]
    return (h + sum(added) / len(added)) @ head.weight.T + head.bias


def test_values_and_all_gradients_follow_the_formula(mlp, points, randomize):
    adapters, x = randomize(attach(mlp, LOSSES)), points()

    def explicit(y):
        return formula(mlp, adapters, y)

    params = list(mlp.parameters())
    found = [*fields(mlp, x), *gradients(total_of(mlp, x), params)]
    expected = [*fields(explicit, x), *gradients(total_of(explicit, x), params)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_gradients_agree_with_finite_differences(build, points, randomize):
    net, heads = build()
    params = list(randomize(attach(net, LOSSES, heads=heads)).parameters())
    x = points()

    def of_parameters(*_):
        return net(x)

    assert torch.autograd.gradcheck(of_parameters, params)


def test_any_leading_shape_is_accepted(mlp, points, randomize):
    randomize(attach(mlp, LOSSES))
    x = points()
    torch.testing.assert_close(mlp(x.expand(3, 5, 2))[1], mlp(x))
    torch.testing.assert_close(mlp(x[0]), mlp(x)[0])


# -- routing and training ----------------------------------------------------------------------


@pytest.fixture
def trained(build, points):
    """``trained(routing, steps, optimizer)`` -> the network, its adapters, the optimizer."""

    def train(routing, steps, optimizer=torch.optim.Adam, prepare=lambda a: a, **options):
        net, heads = build()
        adapters = prepare(attach(net, LOSSES, heads=heads))
        opt = MultiLossOptimizer(
            optimizer(net.parameters(), **options),
            make("adapters", routing=routing),
            blocks=adapters.blocks(),
        )
        for _ in range(steps):
            opt.step(losses_of(net, points()))
        return net, adapters, opt

    return train


def test_exclusive_routing_gives_each_adapter_only_its_own_loss(trained, points, randomize):
    net, adapters, opt = trained("exclusive", 0, prepare=randomize)
    opt.backward(losses_of(net, points()))
    losses = losses_of(net, points())
    for name, params in adapters.blocks().items():
        own = gradients(losses[name.removeprefix("adapter/")], params)
        torch.testing.assert_close([p.grad for p in params], list(own))
    trunk = trunk_of(net)
    torch.testing.assert_close(
        [p.grad for p in trunk], list(gradients(sum(losses.values()), trunk))
    )


def test_shared_routing_is_the_plain_sum_bitwise(trained, points, randomize):
    net, _, opt = trained("shared", 0, prepare=randomize)
    opt.backward(losses_of(net, points()))
    routed = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    total_of(net, points()).backward()
    assert identical(routed, [p.grad for p in net.parameters()])


@pytest.mark.parametrize("routing", ["shared", "exclusive"])
def test_training_moves_every_adapter_and_lowers_the_losses(routing, trained, points):
    start, fresh, _ = trained(routing, 0)
    first = total_of(start, points()).item()
    net, adapters, _ = trained(routing, 60, lr=1e-2)
    for old, new in zip(fresh.parameters(), adapters.parameters(), strict=True):
        assert not torch.equal(old, new)
    assert total_of(net, points()).item() < first
