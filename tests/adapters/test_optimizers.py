"""Every design trains under every optimizer, with a learning rate of its own where one exists."""

from __future__ import annotations

import itertools

import pytest
import torch

from conflictopt import LineSearchError, MethodError, MultiLossOptimizer, attach, make
from conflictopt.adapters import AdapterDesign

from .networks import LOSSES, Mlp, losses_of, network, points, total_of, trunk_of

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 1e-2}),
    "momentum": (torch.optim.SGD, {"lr": 3e-3, "momentum": 0.9}),
    "adam": (torch.optim.Adam, {"lr": 1e-2}),
    "adamw": (torch.optim.AdamW, {"lr": 1e-2}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 1e-3}),
    "adagrad": (torch.optim.Adagrad, {"lr": 1e-2}),
    "nadam": (torch.optim.NAdam, {"lr": 1e-2}),
}
SEARCHES = {
    "fixed": {"lr": 0.05, "max_iter": 4},
    "wolfe": {"max_iter": 4, "line_search_fn": "strong_wolfe"},
}
DESIGNS = [
    AdapterDesign(placement=p, activation=a, rank=2, **o)
    for p, a, o in itertools.product(
        ("last", "hidden", "weights", "head"),
        ("tanh", "linear"),
        ({}, {"scale": "sum", "routing": "exclusive"}, {"orthogonal": True, "routing": "mixed"}),
    )
]


def name(design):
    return f"{design.placement}-{design.activation}-{design.scale}-{design.routing}"


def started(design, make_optimizer, seed=0, **options):
    net = network(lambda: Mlp(2, 8, 8, 8, 1))
    routing = make("adapters", **design.routing_options)
    opt = MultiLossOptimizer(make_optimizer(trunk_of(net)), routing, **options)
    adapters = attach(net, LOSSES, design, seed=seed)
    opt.add_adapters(adapters)
    return net, adapters, opt


@pytest.mark.parametrize("design", DESIGNS, ids=name)
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.grid
def test_every_design_trains(kind, design):
    cls, options = OPTIMIZERS[kind]
    net, adapters, opt = started(design, lambda ps: cls(ps, **options))
    first, start = total_of(net, points(net)).item(), [p.clone() for p in adapters.parameters()]
    for _ in range(12):
        opt.step(losses_of(net, points(net)))
    assert total_of(net, points(net)).item() < first
    assert all((p != q).any() for p, q in zip(adapters.parameters(), start, strict=True))


@pytest.mark.parametrize("design", [d for d in DESIGNS if d.routing == "shared"], ids=name)
@pytest.mark.parametrize("search", SEARCHES)
def test_shared_routing_trains_under_line_searches(search, design):
    net, adapters, opt = started(design, lambda ps: torch.optim.LBFGS(ps, **SEARCHES[search]))
    first, start = total_of(net, points(net)).item(), [p.clone() for p in adapters.parameters()]
    for _ in range(3):
        opt.step(lambda: losses_of(net, points(net)))
    assert total_of(net, points(net)).item() < first
    assert all((p != q).any() for p, q in zip(adapters.parameters(), start, strict=True))


@pytest.mark.parametrize("routing", ["exclusive", "mixed"])
@pytest.mark.parametrize("search", SEARCHES)
def test_other_routing_is_refused_under_line_searches(search, routing):
    design = AdapterDesign(routing=routing)
    net, _, opt = started(design, lambda ps: torch.optim.LBFGS(ps, **SEARCHES[search]))
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(LineSearchError, match="no scalar objective"):
        opt.step(lambda: losses_of(net, points(net)))
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_a_learning_rate_is_refused_under_line_searches():
    net = network(lambda: Mlp(2, 8, 8, 1))
    opt = MultiLossOptimizer(torch.optim.LBFGS(trunk_of(net)), "sum")
    adapters = attach(net, LOSSES, learning_rate=0.1)
    with pytest.raises(MethodError, match=r"learning_rate=1 under LBFGS, found 0\.1: its line"):
        opt.add_adapters(adapters)
    assert len(opt.param_groups[0]["params"]) == len(trunk_of(net))
    assert not opt.blocks
    adam = MultiLossOptimizer(torch.optim.Adam(trunk_of(net)), "sum")
    adam.add_adapters(adapters)
    with pytest.raises(MethodError, match="learning_rate=1 under LBFGS"):
        adam.rewrap(torch.optim.LBFGS(net.parameters()))


def moved(kind, rate, take, **options):
    """What one step after four does to trunk and adapters."""
    cls, settings = OPTIMIZERS[kind]
    net, adapters, opt = started(AdapterDesign(), lambda ps: cls(ps, **settings), **options)
    for _ in range(4):
        opt.step(losses_of(net, points(net)))
    opt.rates.update(dict.fromkeys(adapters.blocks(), rate))
    params = [*trunk_of(net), *adapters.parameters()]
    before = [p.detach().clone() for p in params]
    take(opt, net)
    changes = [p.detach() - q for p, q in zip(params, before, strict=True)]
    return changes[: len(trunk_of(net))], changes[len(trunk_of(net)) :]


def plainly(opt, net):
    opt.step(losses_of(net, points(net)))


def by_closure(opt, net):
    opt.step(lambda: losses_of(net, points(net)))


def in_two_calls(opt, net):
    opt.zero_grad()
    opt.backward(losses_of(net, points(net)))
    opt.step()


@pytest.mark.parametrize("take", [plainly, by_closure, in_two_calls])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("rate", [0.1, 3.0])
@pytest.mark.grid
def test_a_learning_rate_scales_the_update_of_adapters_alone(rate, kind, take):
    trunk, adapters = moved(kind, 1.0, take)
    same, scaled = moved(kind, rate, take)
    assert all(torch.equal(a, b) for a, b in zip(trunk, same, strict=True))
    for a, b in zip(adapters, scaled, strict=True):
        assert a.any()
        torch.testing.assert_close(b, rate * a, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("every", [1, 3])
def test_a_learning_rate_is_that_of_a_group_of_its_own(every):
    """Over a run with a schedule, against plain torch with two parameter groups."""
    nets = [network(lambda: Mlp(2, 8, 8, 1)) for _ in range(2)]
    plain, net = nets
    adapters = [attach(n, LOSSES) for n in nets]
    groups = [
        {"params": trunk_of(plain), "lr": 1e-2},
        {"params": list(adapters[0].parameters()), "lr": 1e-3},
    ]
    bare = torch.optim.Adam(groups)
    opt = MultiLossOptimizer(torch.optim.Adam(trunk_of(net), lr=1e-2), "sum", every=every)
    opt.add_adapters(adapters[1])
    opt.rates.update(dict.fromkeys(adapters[1].blocks(), 0.1))
    schedules = [torch.optim.lr_scheduler.ExponentialLR(o, 0.9) for o in (bare, opt)]
    for _ in range(10):
        bare.zero_grad()
        total_of(plain, points(plain)).backward()
        bare.step()
        opt.step(losses_of(net, points(net)))
        for schedule in schedules:
            schedule.step()
    for a, b in zip(plain.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_adapters_that_the_optimizer_holds_already_are_not_stepped_twice():
    """Attached before the optimizer was built from ``net.parameters()``."""
    net = network(lambda: Mlp(2, 8, 8, 1))
    adapters = attach(net, LOSSES)
    opt = MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=1e-2), "sum")
    opt.add_adapters(adapters)
    assert set(adapters.blocks()) <= set(opt.blocks)
    held = [id(p) for group in opt.param_groups for p in group["params"]]
    assert len(set(held)) == len(held)


def test_the_rate_of_a_design_is_that_of_its_blocks():
    _, adapters, opt = started(
        AdapterDesign(learning_rate=0.3), lambda ps: torch.optim.Adam(ps, lr=1e-2)
    )
    assert opt.rates == dict.fromkeys(adapters.blocks(), 0.3)


@pytest.mark.parametrize("placement", ["last", "hidden", "weights", "head"])
def test_orthogonal_columns_stay_orthonormal(placement):
    design = AdapterDesign(placement=placement, orthogonal=True, rank=2)
    net, adapters, opt = started(design, lambda ps: torch.optim.Adam(ps, lr=0.1))
    for _ in range(20):
        opt.step(losses_of(net, points(net)))
        for _, bank in adapters.banks:
            down, _ = bank.factors()
            gram, one = down.T @ down, torch.eye(6, dtype=down.dtype)
            torch.testing.assert_close(gram, one, rtol=0, atol=1e-6)


def test_orthogonal_columns_follow_their_parameters_continuously():
    """Where a pivot of the decomposition changes sign, no column may turn over."""
    net = network(lambda: Mlp(2, 4, 1))
    ((_, bank),) = attach(net, LOSSES, orthogonal=True, rank=1).banks
    found = []
    with torch.no_grad():
        for pivot in (-1e-9, 1e-9):
            bank.down[0][0] = pivot
            found.append(bank.factors()[0].clone())
    assert float((found[0] - found[1]).abs().max()) < 1e-7
