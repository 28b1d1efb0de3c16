"""Parameter blocks: unknowns, adapters, frozen and untouched parameters; and no side effects."""

from __future__ import annotations

import pytest
import torch
from torch import nn, optim

from conflictopt import Chain, LayoutError, MultiLossOptimizer, Recorder, attach, make

METHODS = ["sum", "grad_norm", "pcgrad"]


@pytest.fixture
def toy():
    """Network w and unknown nu whose gradients of a, b are (1, 0 | 1) and (-1, 1 | 2).

    In w alone a and b conflict (inner product -1); in w and nu together they do not (+1).
    """
    w, nu = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.tensor(0.0))
    return w, nu, {"a": w[0] + nu, "b": -w[0] + w[1] + 2 * nu}


def names(opt):
    return opt.layout().names


def test_a_scalar_unknown_is_the_physics_block_by_default(make_pinn):
    net = make_pinn(unknown=True).net()
    opt = MultiLossOptimizer(optim.Adam(net.parameters()), "sum")
    assert names(opt) == ("network", "physics")
    physics = opt.layout().blocks[1]
    assert physics.columns.stop - physics.columns.start == 1
    assert opt.layout().params[-1] is net.nu


def test_explicit_blocks_replace_the_default(make_pinn):
    net = make_pinn(unknown=True).net()
    k = nn.Parameter(torch.ones(3))
    params = [net.nu, k, *net.layers.parameters()]
    opt = MultiLossOptimizer(optim.Adam(params), "sum", blocks={"physics": [k]})
    assert names(opt) == ("network", "physics")
    assert opt.layout().params[-1] is k
    blocks = {"law": [k], "physics": [net.nu]}
    opt = MultiLossOptimizer(optim.Adam(params), "sum", blocks=blocks)
    assert names(opt) == ("network", "law", "physics")


def test_surgery_gives_unknowns_the_plain_sum(toy):
    w, nu, losses = toy
    opt = MultiLossOptimizer(optim.SGD([w, nu], lr=1.0), "pcgrad")
    opt.step(losses)
    assert (-w).tolist() == [0.5, 1.5]  # a' = (.5, .5), b' = (0, 1)
    assert -nu.item() == 3.0
    assert opt.last.coefficients.shape == (2, 2)
    assert opt.last.coefficients[:, 1].tolist() == [1.0, 1.0]


def test_global_surgery_looks_at_unknowns_too(toy):
    w, nu, losses = toy
    opt = MultiLossOptimizer(optim.SGD([nu, w], lr=1.0), make("pcgrad", blocks="global"))
    opt.step(losses)
    torch.testing.assert_close(-w.detach(), torch.tensor([0.0, 1.0]))
    assert -nu.item() == pytest.approx(3.0)


def test_a_chain_operates_on_the_weighted_losses(toy):
    w, _, losses = toy
    method = Chain(make("constant", weights={"a": 2.0}), make("pcgrad"))
    MultiLossOptimizer(optim.SGD([w], lr=1.0), method).step(losses)
    torch.testing.assert_close(-w.detach(), torch.tensor([1.0, 2.0]))  # a' = (1, 1), b' = (0, 1)


def test_reweighting_looks_at_the_network_only(toy):
    w, nu, losses = toy
    opt = MultiLossOptimizer(optim.SGD([w, nu], lr=1.0), make("grad_norm", momentum=0.0))
    opt.step(losses)
    norms = torch.tensor([1.0, 2.0**0.5])
    torch.testing.assert_close(opt.last.coefficients, norms.mean() / norms)
    assert -nu.item() == pytest.approx(float(opt.last.coefficients @ torch.tensor([1.0, 2.0])))


def test_exclusive_routing_gives_each_adapter_its_own_loss(pinn):
    net = pinn.net()
    adapters = attach(net, pinn.names)
    with torch.no_grad():
        for up in adapters.up:
            up.fill_(0.1)
    opt = MultiLossOptimizer(
        optim.SGD(net.parameters(), lr=0.1),
        make("adapters", routing="exclusive"),
        blocks=adapters.blocks(),
    )
    opt.backward(pinn.losses(net))
    losses = pinn.losses(net)  # the graphs of the first are used up, as after backward()
    for name, params in adapters.blocks().items():
        own = losses[name.removeprefix("adapter/")]
        for p, g in zip(params, torch.autograd.grad(own, params, retain_graph=True), strict=True):
            assert torch.equal(p.grad, g)
    shared = torch.autograd.grad(sum(losses.values()), net[0].weight)[0]
    torch.testing.assert_close(net[0].weight.grad, shared)


def test_adapters_attach_to_a_sequential():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    x = torch.ones(3, 2)
    before = net(x)
    attach(net, ["pde", "bc"])
    assert torch.equal(net(x), before)


@pytest.mark.parametrize("method", METHODS)
def test_frozen_parameters_stay(pinn, method):
    net, start = pinn.net(), pinn.net()
    net[2].requires_grad_(False)
    opt = MultiLossOptimizer(optim.Adam(net.parameters(), lr=0.01), method)
    pinn.train(net, opt, 3)
    assert torch.equal(net[2].weight, start[2].weight)
    assert net[2].weight.grad is None
    assert not torch.equal(net[0].weight, start[0].weight)


@pytest.mark.parametrize("method", METHODS)
def test_unfreezing_and_freezing_in_mid_run_are_followed(pinn, method):
    net, start = pinn.net(), pinn.net()
    net[2].requires_grad_(False)
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=0.01), method)
    pinn.train(net, opt, 2)
    net[2].requires_grad_(True)
    net[0].requires_grad_(False)
    frozen = net[0].weight.clone()
    pinn.train(net, opt, 2)
    assert not torch.equal(net[2].weight, start[2].weight)
    assert torch.equal(net[0].weight, frozen)


@pytest.mark.parametrize("method", [*METHODS, Recorder(10, 1)], ids=str)
def test_parameters_that_no_loss_touches_keep_no_gradient(pinn, method):
    net = pinn.net()
    idle = nn.Parameter(torch.ones(2))
    sgd = optim.AdamW([*net.parameters(), idle], lr=0.1, weight_decay=0.5)
    opt = MultiLossOptimizer(sgd, method)
    pinn.train(net, opt, 2)
    assert idle.grad is None
    assert idle.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("method", [*METHODS, "config", "lr_annealing"])
def test_losses_that_touch_only_some_parameters(method):
    u, v = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([2.0, 3.0]))
    opt = MultiLossOptimizer(optim.SGD([u, v], lr=0.0), method)
    opt.step({"a": u.square().sum(), "b": v.square().sum()})
    c = opt.last.coefficients
    assert c.isfinite().all()
    torch.testing.assert_close(u.grad, 2 * c[0] * u.detach())
    torch.testing.assert_close(v.grad, 2 * c[1] * v.detach())


def test_a_block_that_the_optimizer_does_not_hold():
    w, nu = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.1), "sum", blocks={"physics": [nu]})
    with pytest.raises(LayoutError, match=r"block 'physics' has a parameter of shape \(3,\) that"):
        opt.step({"a": w.sum()})


def test_a_parameter_in_two_blocks():
    w = nn.Parameter(torch.ones(2))
    sgd = optim.SGD([w], lr=0.1)
    opt = MultiLossOptimizer(sgd, "sum", blocks={"physics": [w], "law": [w]})
    with pytest.raises(LayoutError, match="in the blocks 'physics' and 'law'"):
        opt.step({"a": w.sum()})
    opt = MultiLossOptimizer(sgd, "sum", blocks={"network": [w]})
    with pytest.raises(LayoutError, match="'network' holds what no other block does"):
        opt.step({"a": w.sum()})


@pytest.mark.parametrize("method", [*METHODS, "ntk", "config", Recorder(10, 1)], ids=str)
def test_a_step_has_no_side_effects_on_torch(pinn, method):
    net = pinn.net()
    rng = torch.get_rng_state()
    pinn.train(net, MultiLossOptimizer(optim.Adam(net.parameters()), method), 3)
    if method != "config":
        pinn.train(net, MultiLossOptimizer(optim.LBFGS(net.parameters()), method), 3)
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.get_default_dtype() is torch.float32
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("form", [dict, list], ids=["mapping", "sequence"])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_under_no_grad_is_the_same_step(pinn, same, method, form):
    """As ``loss.backward()`` is: the graph exists already."""
    net, expected = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=0.1), method)
    losses = pinn.losses(net)
    with torch.no_grad():
        opt.step(losses if form is dict else list(losses.values()))
        assert not torch.is_grad_enabled()
    other = MultiLossOptimizer(optim.SGD(expected.parameters(), lr=0.1), method)
    other.step(pinn.losses(expected))
    assert same(net, expected)
    assert not opt.last.coefficients.requires_grad


def test_surgery_treats_all_blocks_of_the_trunk_as_one(pinn, same):
    """Naming parts of the network must not switch surgery off."""
    net, split = pinn.net(), pinn.net()
    pinn.train(net, MultiLossOptimizer(optim.SGD(net.parameters(), lr=0.05), "pcgrad"), 5)
    params = list(split.parameters())
    blocks = {"stem": params[:2], "head": params[2:]}
    opt = MultiLossOptimizer(optim.SGD(params, lr=0.05), "pcgrad", blocks=blocks)
    pinn.train(split, opt, 5)
    assert opt.last.coefficients.shape == (3,)
    assert not torch.equal(opt.last.coefficients, torch.ones(3))
    for a, b in zip(net.parameters(), split.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
