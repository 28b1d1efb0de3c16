"""Every error by its message; and that nothing was changed by the step that failed."""

from __future__ import annotations

import pytest
import torch
from torch import nn, optim

from conflictopt import (
    ConflictOptError,
    LayoutError,
    LossError,
    Losses,
    MethodError,
    MultiLossOptimizer,
    NonFiniteError,
    make,
)


def sgd(net):
    return optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def without_graph(losses):
    return {**losses, "bc": losses["bc"].detach()}


def infinite(losses):
    return {**losses, "bc": losses["bc"] * torch.inf}


BAD_LOSSES = {
    "non-scalar": (
        lambda losses, net: {**losses, "bc": net[0].weight},
        LossError,
        r"expected loss 'bc' as a scalar, found shape \(8, 2\)",
    ),
    "no graph": (
        lambda losses, net: without_graph(losses),
        LossError,
        "loss 'bc' has no graph",
    ),
    "no graph in a tensor": (
        lambda losses, net: torch.ones(3),
        LossError,
        "loss 'pde, bc, ic' has no graph",
    ),
    "nan": (
        lambda losses, net: {**losses, "ic": losses["ic"] * torch.nan},
        NonFiniteError,
        "expected finite losses, found 'ic' = nan",
    ),
    "inf and nan": (
        lambda losses, net: infinite({**losses, "ic": losses["ic"] * torch.nan}),
        NonFiniteError,
        "found 'bc' = inf, 'ic' = nan",
    ),
    "nan in a tensor": (
        lambda losses, net: torch.stack(list(infinite(losses).values())),
        NonFiniteError,
        "found 'bc' = inf",
    ),
    "another K": (
        lambda losses, net: list(losses.values())[:2],
        LossError,
        r"expected 3 losses \('pde', 'bc', 'ic'\), found 2",
    ),
    "another K by names": (
        lambda losses, net: {"pde": losses["pde"], "bc": losses["bc"]},
        LossError,
        r"the 3 losses \('pde', 'bc', 'ic'\) of the steps before, found 2: \('pde', 'bc'\)",
    ),
    "other names": (
        lambda losses, net: {"pde": losses["pde"], "bc": losses["bc"], "data": losses["ic"]},
        LossError,
        r"the 3 losses \('pde', 'bc', 'ic'\) .*, found 3: \('pde', 'bc', 'data'\)",
    ),
    "another Losses": (
        lambda losses, net: Losses.of({"pde": losses["pde"]}),
        LossError,
        r"expected the 3 losses \('pde', 'bc', 'ic'\) of the steps before, found 1: \('pde',\)",
    ),
    "a sum": (
        lambda losses, net: sum(losses.values()),
        LossError,
        r"expected a \[K\] tensor of losses, found shape \(\)",
    ),
    "a number": (lambda losses, net: 3.0, LossError, "or a .K. tensor, found float"),
    "a string": (lambda losses, net: "pde", LossError, "or a .K. tensor, found str"),
    "an iterator": (
        lambda losses, net: iter(losses.values()),
        LossError,
        "tensor, found dict_valueiterator",
    ),
    "numbers": (
        lambda losses, net: [1.0, 2.0, 3.0],
        LossError,
        "expected loss 'pde' as a tensor, found float",
    ),
    "empty": (lambda losses, net: [], LossError, "expected at least one loss, found none"),
    "empty tensor": (lambda losses, net: torch.ones(0), LossError, r"found shape \(0,\)"),
    "complex": (
        lambda losses, net: {**losses, "ic": losses["ic"] * 1j},
        LossError,
        "expected real losses, found loss 'ic' of torch.complex64",
    ),
    "without a value": (
        lambda losses, net: {**losses, "ic": torch.ones((), device="meta", requires_grad=True)},
        LossError,
        "expected losses with values, found loss 'ic' on the device meta",
    ),
    "foreign residuals": (
        lambda losses, net: Losses.of(losses, residuals={"data": losses["ic"]}),
        LossError,
        r"residuals given for \['data'\], but the losses are \('pde', 'bc', 'ic'\)",
    ),
}


@pytest.mark.parametrize("method", ["sum", "pcgrad", "grad_norm"])
@pytest.mark.parametrize("case", BAD_LOSSES)
def test_losses_that_cannot_be_used(pinn, same, snapshot, case, method):
    spoil, error, message = BAD_LOSSES[case]
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), method)
    pinn.train(net, opt, 2)
    before = snapshot(net, opt)
    with pytest.raises(error, match=message) as found:
        opt.step(spoil(pinn.losses(net), net))
    assert isinstance(found.value, ConflictOptError)
    assert same(snapshot(net, opt), before)
    pinn.train(net, opt, 1)
    assert opt.completed == 3


def test_a_first_step_that_fails_does_not_fix_the_names(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), "sum")
    with pytest.raises(LossError, match="has no graph"):
        opt.step([torch.ones(())])
    pinn.train(net, opt, 1)


def test_names_given_in_advance(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), "sum", names=["eq", "wall"])
    with pytest.raises(LossError, match=r"expected 2 losses \('eq', 'wall'\), found 3"):
        opt.step(list(pinn.losses(net).values()))


def test_unknown_equations(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), "sum", equations=["heat"])
    with pytest.raises(LossError, match=r"\['heat'\], but the losses are \('pde', 'bc', 'ic'\)"):
        opt.step(pinn.losses(net))


def test_nothing_to_step_with(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), "sum")
    with pytest.raises(
        LossError, match=r"step\(\) found no losses: pass them.*bypasses the method"
    ):
        opt.step()
    sum(pinn.losses(net).values()).backward()
    with pytest.raises(LossError, match="found no losses"):
        opt.step()


@pytest.mark.parametrize("kind", [{"dtype": torch.float64}, {"device": "meta"}])
def test_parameters_of_two_kinds(kind):
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3, **kind))
    opt = MultiLossOptimizer(optim.SGD([a, b], lr=0.1), "pcgrad")
    with pytest.raises(LayoutError, match=r"one dtype .* torch.float32 on cpu \(shape \(2,\)"):
        opt.step({"a": a.sum(), "b": (a - 1).square().sum()})


def test_no_trainable_parameter(pinn):
    net = pinn.net().requires_grad_(False)
    with pytest.raises(LayoutError, match="at least one parameter with requires_grad=True"):
        MultiLossOptimizer(sgd(net), "sum").step({"a": torch.ones((), requires_grad=True)})


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "pcgard",
            r"unknown method 'pcgard'. Did you mean 'pcgrad'.*\? Known: none, auto, wide, ad",
        ),
        ("zzz", r"unknown method 'zzz'. Known: none"),
    ],
)
def test_unknown_method(pinn, method, message):
    with pytest.raises(MethodError, match=message):
        MultiLossOptimizer(sgd(pinn.net()), method)


def test_unknown_missing_and_bad_options():
    with pytest.raises(MethodError, match=r"'pcgrad' has no option \['lr'\]; its options: blocks"):
        make("pcgrad", lr=1)
    with pytest.raises(MethodError, match=r"'sum' has no option \['cap'\]; its options: none"):
        make("sum", cap=1)
    with pytest.raises(MethodError, match=r"'constant' needs the option \['weights'\]"):
        make("constant")
    with pytest.raises(MethodError, match=r"blocks='physics', .* or a mapping .*'all'"):
        make("pcgrad", blocks="all")


def test_bad_arguments_of_the_wrapper(pinn):
    net = pinn.net()
    with pytest.raises(TypeError, match="expected a torch optimizer, found Net"):
        MultiLossOptimizer(net, "sum")
    with pytest.raises(TypeError, match=r"found a MultiLossOptimizer. .* 'ntk\+pcgrad'"):
        MultiLossOptimizer(MultiLossOptimizer(sgd(net), "ntk"), "pcgrad")
    with pytest.raises(TypeError, match=r"expected an aggregator, its name, .* found Tensor"):
        MultiLossOptimizer(sgd(net), torch.ones(3))
    with pytest.raises(MethodError, match="on_nonfinite='raise' or 'skip', found 'ignore'"):
        MultiLossOptimizer(sgd(net), "sum", on_nonfinite="ignore")
    with pytest.raises(MethodError, match="alone as True or False, found 1"):
        MultiLossOptimizer(sgd(net), "sum", alone=1)


def test_ntk_without_residuals(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(sgd(net), "ntk")
    with pytest.raises(MethodError, match="needs the residuals of every loss and got none for 'pd"):
        opt.step(pinn.losses(net))
    halves = {n: r / 2 for n, r in pinn.residuals(net).items()}
    with pytest.raises(MethodError, match=r"loss 'pde' is .*, but the mean square of its"):
        opt.step(pinn.losses(net), residuals=halves)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["ntk:refresh=1", "ntk:refresh=10+pcgrad"])
def test_residuals_are_those_of_the_loss_at_its_precision(dtype, name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)).to(dtype)
    x = torch.rand(64, 1).to(dtype)
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=0.05), name)
    for _ in range(50):
        found = {"a": net(x) - 1, "b": net(x) + x}
        opt.step({n: r.square().mean() for n, r in found.items()}, residuals=found)
    assert opt.completed == 50
    found = {"a": net(x) - 1, "b": net(x) + x}
    with pytest.raises(MethodError, match="defined for mean-square losses"):
        opt.step({n: 1.1 * r.square().mean() for n, r in found.items()}, residuals=found)
