"""Training that must be bitwise the plain loop: zero_grad, sum the losses, backward, step."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import optim

from conflictopt import Chain, MultiLossOptimizer, Recorder, describe, make

STEPS = 21

OPTIMIZERS = {
    "sgd": partial(optim.SGD, lr=1e-2, momentum=0.9),
    "nesterov": partial(optim.SGD, lr=1e-2, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": partial(optim.Adam, lr=1e-2),
    "amsgrad": partial(optim.Adam, lr=1e-2, amsgrad=True, foreach=False),
    "adamw": partial(optim.AdamW, lr=1e-2),
    "adamax": partial(optim.Adamax, lr=1e-2),
    "nadam": partial(optim.NAdam, lr=1e-2),
    "radam": partial(optim.RAdam, lr=1e-2),
    "rmsprop": partial(optim.RMSprop, lr=1e-3, momentum=0.5, centered=True),
    "rprop": partial(optim.Rprop, lr=1e-3),
    "adagrad": partial(optim.Adagrad, lr=1e-2),
    "adadelta": partial(optim.Adadelta, lr=1.0),
    "asgd": partial(optim.ASGD, lr=1e-2),
    "adafactor": partial(optim.Adafactor, lr=1e-2),
    "lbfgs": partial(optim.LBFGS, lr=0.1, max_iter=4),
    "wolfe": partial(optim.LBFGS, max_iter=4, line_search_fn="strong_wolfe"),
}
FORMS = {
    "mapping": lambda losses: losses,
    "sequence": lambda losses: list(losses.values()),
    "tensor": lambda losses: torch.stack(list(losses.values())),
}
WOLFE = OPTIMIZERS["wolfe"]
ADAM = OPTIMIZERS["adam"]
PLAIN_ALONE = [
    row["name"]
    for row in describe()
    if "points" not in row["needs"] and row["name"] not in ("m_config", "multi_adam")
]
"""Points have weights within one loss too, and two methods are optimizers of their own."""


def plain_run(pinn, build, steps=STEPS):
    net = pinn.net()
    pinn.train_plain(net, build(net.parameters()), steps)
    return net


def wrapped_run(pinn, build, method, steps=STEPS):
    net = pinn.net()
    pinn.train(net, MultiLossOptimizer(build(net.parameters()), method), steps)
    return net


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.grid
def test_sum_is_the_plain_loop(pinn, same, name, form):
    build, shape = OPTIMIZERS[name], FORMS[form]
    net = pinn.net()
    opt = MultiLossOptimizer(build(net.parameters()), "sum")
    for _ in range(STEPS):
        if isinstance(opt.inner, optim.LBFGS):
            opt.step(lambda: shape(pinn.losses(net)))
        else:
            opt.step(shape(pinn.losses(net)))
    assert same(net, plain_run(pinn, build))
    assert not same(net, pinn.net())


def test_lbfgs_returns_the_value_of_the_plain_loop(pinn):
    net, plain_net = pinn.net(), pinn.net()
    opt, plain = MultiLossOptimizer(WOLFE(net.parameters()), "sum"), WOLFE(plain_net.parameters())

    def closure():
        plain.zero_grad()
        total = sum(pinn.losses(plain_net).values())
        total.backward()
        return total

    for _ in range(5):
        assert opt.step(lambda: pinn.losses(net)) == plain.step(closure)


def test_the_value_of_many_losses_is_added_up_as_in_the_plain_loop():
    w = torch.nn.Parameter(torch.rand(99, generator=torch.Generator().manual_seed(0)))
    opt = MultiLossOptimizer(WOLFE([w]), "sum")
    expected = w.exp().sum().detach(), sum(w.exp().unbind()).detach()
    start = w.detach().clone()
    found = [opt.step(lambda: w.exp())]
    w.data.copy_(start)
    opt = MultiLossOptimizer(WOLFE([w]), "sum")
    found.append(opt.step(lambda: w.exp().unbind()))
    assert found == list(expected)
    assert expected[0] != expected[1]  # the order of addition shows


@pytest.mark.parametrize("build", [ADAM, WOLFE], ids=["adam", "wolfe"])
@pytest.mark.parametrize("name", PLAIN_ALONE)
def test_one_loss_is_plain_for_every_method(make_pinn, same, name, build):
    pinn = make_pinn(names=["pde"])
    method = make(name, **({"weights": [1.0]} if name == "constant" else {}))
    assert same(wrapped_run(pinn, build, method), plain_run(pinn, build))


@pytest.mark.parametrize("name", ["pcgrad", "config"])
def test_one_loss_is_plain_for_surgery_beside_an_unknown(make_pinn, same, name):
    pinn = make_pinn(names=["pde"], unknown=True)
    assert same(wrapped_run(pinn, ADAM, name), plain_run(pinn, ADAM))


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_recorder_changes_nothing(pinn, same, build):
    net = pinn.net()
    opt = MultiLossOptimizer(build(net.parameters()), Recorder(steps=STEPS, every=4))
    pinn.train(net, opt, STEPS)
    assert same(net, plain_run(pinn, build))
    assert opt.session.state["samples"] == STEPS // 4
    assert opt.session.state["gramians"].abs().amax(dim=(1, 2)).min() > 0


def test_unit_weights_by_other_names_are_plain(pinn, same):
    plain = plain_run(pinn, ADAM)
    assert same(plain, wrapped_run(pinn, ADAM, make("constant", weights={"bc": 1.0})))
    assert same(plain, wrapped_run(pinn, ADAM, make("adapters", routing="shared")))
    assert same(plain, wrapped_run(pinn, ADAM, Chain(make("sum"), Recorder(10, 1))))


def test_a_method_that_does_something_is_not_plain(pinn, same):
    plain = plain_run(pinn, ADAM)
    for name in ("grad_norm", "lr_annealing", "ntk", "pcgrad", "config"):
        assert not same(plain, wrapped_run(pinn, ADAM, name)), name


def test_float64_is_plain(make_pinn, same):
    pinn = make_pinn(dtype=torch.float64)
    assert same(wrapped_run(pinn, ADAM, "sum"), plain_run(pinn, ADAM))


@pytest.mark.parametrize("method", ["sum", Recorder(20, 3)], ids=["sum", "recorder"])
def test_inverse_problem_with_the_unknown_in_its_own_group(make_pinn, same, method):
    pinn = make_pinn(unknown=True)

    def build(params):
        *weights, nu = sorted(params, key=lambda p: p.ndim == 0)
        return optim.Adam([{"params": [nu], "lr": 0.1}, {"params": weights}], lr=1e-3)

    net = wrapped_run(pinn, build, method)
    assert same(net, plain_run(pinn, build))
    assert net.nu.item() != pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("method", ["sum", Recorder(20, 3)], ids=["sum", "recorder"])
def test_gradient_accumulation(pinn, same, method):
    batches = pinn.points.split(4)
    net, plain_net = pinn.net(), pinn.net()
    opt, plain = MultiLossOptimizer(ADAM(net.parameters()), method), ADAM(plain_net.parameters())
    for _ in range(STEPS):
        opt.zero_grad()
        plain.zero_grad()
        for batch in batches:
            opt.backward(pinn.losses(net, batch))
            sum(pinn.losses(plain_net, batch).values()).backward()
        opt.step()
        plain.step()
    assert same(net, plain_net)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("name", ["grad_norm", "pcgrad"])
def test_accumulation_keeps_the_first_coefficients(make_pinn, name, unknown):
    """Also where they differ by block; and the method's state advances once."""
    pinn = make_pinn(unknown=unknown)
    net = pinn.net()
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=0.0), make(name))
    first, second = pinn.points.split(6)
    opt.backward(pinn.losses(net, first))
    opt.backward(pinn.losses(net, second))
    opt.step()
    c = opt.last.coefficients
    losses = [pinn.losses(net, half).values() for half in (first, second)]
    totals = torch.stack([a + b for a, b in zip(*losses, strict=True)])
    for p in net.parameters():
        own = c if c.ndim == 1 else c[:, int(p.ndim == 0)]
        expected = torch.autograd.grad(own @ totals, p, retain_graph=True)[0]
        torch.testing.assert_close(p.grad, expected)
    assert opt.completed == 1
    assert opt.session.state.get("age", 1) == 1


def test_a_closure_without_line_search_is_the_same_step(pinn, same):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net.parameters()), "sum")
    with torch.no_grad():
        for _ in range(STEPS):
            opt.step(lambda: pinn.losses(net))
    assert same(net, plain_run(pinn, ADAM))
