"""``backward(losses)`` does what ``loss.backward()`` does, and chooses coefficients."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.utils.checkpoint import checkpoint

from conflictopt import ConflictOptWarning, LayoutError, LossError, MethodError, MultiLossOptimizer

METHODS = ("sum", "relobralo", "grad_norm", "pcgrad", "config", "m_config")


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConflictOptWarning)
        yield


def network(seed=0, outputs=1):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, outputs))


def points(rows=12):
    return torch.rand(rows, 2, generator=torch.Generator().manual_seed(1))


def inner(params, method=None):
    kind = optim.SGD if method == "m_config" else optim.Adam
    return kind(params, lr=1e-2)


# -- leaves that the optimizer does not hold ---------------------------------------------------

UNKNOWNS = {
    "parameter": lambda: nn.Parameter(torch.tensor(0.5)),
    "matrix": lambda: nn.Parameter(torch.full((1, 1), 0.5)),
    "number": lambda: torch.tensor(0.5, requires_grad=True),
    "vector": lambda: torch.tensor([0.5], requires_grad=True),
}


def with_unknown(net, nu, x):
    return {"pde": (nu * net(x) + 1).square().mean(), "data": (net(x) - 2).square().mean()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", UNKNOWNS)
def test_an_unknown_in_an_optimizer_of_its_own_gets_the_plain_gradient(method, kind):
    net, nu, x = network(), UNKNOWNS[kind](), points()
    sum(with_unknown(net, nu, x).values()).backward()
    expected, nu.grad = nu.grad, None
    opt = MultiLossOptimizer(inner(net.parameters(), method), method)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        opt.step(with_unknown(net, nu, x))
        nu.grad = None
        opt.step(with_unknown(net, nu, x))
    net = network()  # as it was at the first step
    nu.grad = None
    opt = MultiLossOptimizer(inner(net.parameters(), method), method)
    opt.step(with_unknown(net, nu, x))
    torch.testing.assert_close(nu.grad, expected)
    told = [w for w in said if "does not hold" in str(w.message)]
    assert len(told) == (method != "sum")


def test_a_second_optimizer_trains_bitwise_as_in_the_plain_loop():
    ends = []
    for wrapped in (False, True):
        net, nu, x = network(), nn.Parameter(torch.tensor(0.5)), points()
        first, second = optim.Adam(net.parameters(), lr=1e-2), optim.Adam([nu], lr=1e-1)
        opt = MultiLossOptimizer(first, "sum") if wrapped else first
        for _ in range(10):
            second.zero_grad()
            losses = with_unknown(net, nu, x)
            if wrapped:
                opt.step(losses)
            else:
                opt.zero_grad()
                sum(losses.values()).backward()
                opt.step()
            second.step()
        ends.append([nu, *net.parameters()])
    assert all(map(torch.equal, *ends))


@pytest.mark.parametrize("method", ["sum", "relobralo", "pcgrad"])
def test_points_have_gradients_too(method):
    net, x = network(), points().requires_grad_()
    losses = lambda: {"a": net(x).square().mean(), "b": (net(x) - 1).square().mean()}  # noqa: E731
    sum(losses().values()).backward()
    expected, x.grad = x.grad, None
    MultiLossOptimizer(inner(net.parameters()), method).step(losses())
    # the first weights of relobralo are 1
    torch.testing.assert_close(x.grad, expected)


def test_unknowns_beside_blocks_that_are_weighted_apart():
    net, nu, own, x = network(), *(nn.Parameter(torch.tensor(v)) for v in (0.5, 0.2)), points()
    losses = lambda: {  # noqa: E731
        "pde": (nu * net(x) + own).square().mean(),
        "data": (net(x) * own - 2).square().mean(),
    }
    opt = MultiLossOptimizer(inner([*net.parameters(), own]), "upgrad", every=2)
    for _ in range(2):  # chosen, then held: gradients of each loss, then of weighted sums
        sum(losses().values()).backward()
        expected, nu.grad = nu.grad, None
        opt.step(losses())
        torch.testing.assert_close(nu.grad, expected)
        nu.grad = None
    assert opt.last.coefficients.shape == (2, 2)


@pytest.mark.parametrize("method", METHODS)
def test_losses_that_reach_no_parameter_are_refused(method):
    net, other, x = network(), network(1), points()
    opt = MultiLossOptimizer(inner(net.parameters(), method), method)
    with pytest.raises(LossError, match="none of its 4 reached: the step would train nothing"):
        opt.step({"a": other(x).square().mean(), "b": (other(x) - 1).square().mean()})
    assert opt.completed == 0


# -- checkpointed activations ------------------------------------------------------------------


def checkpointed(net, x, reentrant):
    trunk, head = net[:2], net[2]
    y = head(checkpoint(trunk, x, use_reentrant=reentrant))
    return {"a": (y[:, 0] - 1).square().mean(), "b": (y[:, 1] + 2).square().mean()}


@pytest.mark.parametrize("method", METHODS)
def test_checkpoints_that_are_not_reentrant_train(method):
    net, x = network(outputs=2), points().requires_grad_()
    before = copy.deepcopy(net)
    opt = MultiLossOptimizer(inner(net.parameters(), method), method)
    for _ in range(2):  # m_config looks at one loss in each
        opt.step(checkpointed(net, x, False))
    assert not any(map(torch.equal, net.parameters(), before.parameters()))


@pytest.mark.parametrize("method", METHODS)
def test_reentrant_checkpoints_train_or_are_refused(method):
    net, x = network(outputs=2), points().requires_grad_()
    before = copy.deepcopy(net)
    opt = MultiLossOptimizer(inner(net.parameters(), method), method)
    if method in ("sum", "relobralo"):
        opt.step(checkpointed(net, x, True))
        assert not any(map(torch.equal, net.parameters(), before.parameters()))
        return
    with pytest.raises(MethodError, match="use_reentrant=False"):
        opt.step(checkpointed(net, x, True))
    assert all(map(torch.equal, net.parameters(), before.parameters()))


# -- hooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_hooks_act_once_on_the_gradient_that_is_stepped_along(method):
    net, x = network(outputs=2), points()
    hooked, calls, after = copy.deepcopy(net), [], []
    for p in hooked.parameters():
        p.register_hook(lambda g: (calls.append(1), g.clamp(-0.01, 0.01))[1])
        p.register_post_accumulate_grad_hook(lambda p: after.append(p))
    found = []
    for which in (net, hooked):
        y = which(x)
        losses = {"a": (y[:, 0] - 1).square().mean(), "b": (y[:, 1] + 2 - y[:, 0]).square().mean()}
        opt = MultiLossOptimizer(inner(which.parameters(), method), method)
        opt.zero_grad()
        opt.backward(losses)
        found.append([p.grad for p in which.parameters()])
    assert len(calls) == len(after) == 4
    for free, clipped in zip(*found, strict=True):
        torch.testing.assert_close(clipped, free.clamp(-0.01, 0.01), rtol=0, atol=0)


def test_hooks_are_where_they_were_after_an_error():
    net, x = network(outputs=2), points().requires_grad_()
    handle = net[0].weight.register_hook(lambda g: g)
    opt = MultiLossOptimizer(inner(net.parameters()), "pcgrad")
    with pytest.raises(MethodError):
        opt.step(checkpointed(net, x, True))
    assert len(net[0].weight._backward_hooks) == 1
    handle.remove()
    assert not net[0].weight._backward_hooks


# -- layouts, kinds of parameters --------------------------------------------------------------


class Transposed(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.w = nn.Parameter(torch.randn(3, 5).t())
            self.k = nn.Conv2d(3, 2, 3).to(memory_format=torch.channels_last)

    def forward(self, x):
        image = torch.linspace(0.5, 1.5, 3 * 64).reshape(1, 3, 8, 8)
        return (x @ self.w[:, :2].t()).sum() + self.k(image).mean()


@pytest.mark.parametrize("method", ["sum", "relobralo", "pcgrad", "upgrad"])
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
def test_gradients_are_laid_out_as_their_parameters(method, kind):
    ends = []
    for wrapped in (False, True):
        net, x = Transposed(), points()
        opt = kind(net.parameters(), lr=1e-2, fused=True)
        wrapper = MultiLossOptimizer(opt, method)
        for _ in range(3):
            y = net(x)
            losses = {"a": (y - 50).square(), "b": (y - 60).square()}  # never in conflict
            if wrapped:
                wrapper.step(losses)
                assert all(p.grad.stride() == p.stride() for p in net.parameters())
            else:
                opt.zero_grad()
                sum(losses.values()).backward()
                opt.step()
        ends.append(list(net.parameters()))
    for p, q in zip(*ends, strict=True):
        torch.testing.assert_close(p, q)


def sparse():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        table = nn.Embedding(20, 4, sparse=True)
    index = torch.tensor([1, 3, 3, 7])
    return (
        list(table.parameters()),
        optim.SparseAdam,
        lambda: {"a": (table(index) - 1).square().mean(), "b": table(index[:2]).square().mean()},
    )


def complex_weights():
    w = nn.Parameter(torch.linspace(0.1, 1, 9) * (1 + 0.5j))
    scale = nn.Parameter(torch.ones(3))
    return (
        [w, scale],
        optim.Adam,
        lambda: {"a": (w.abs().sum() * scale).sum(), "b": (w - 1j).abs().square().sum()},
    )


def two_precisions():
    net, nu, x = network(), nn.Parameter(torch.tensor(np.float64(0.3))), points()
    return (
        [*net.parameters(), nu],
        optim.Adam,
        lambda: {"pde": (net(x) - nu).square().mean(), "bc": (net(x[:1]) - 1).square().mean()},
    )


def autocast():
    net, x = network(), points()

    def losses():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = net(x)
            return {"a": (y - 1).square().mean(), "b": y[:1].square().mean().to(torch.bfloat16)}

    return list(net.parameters()), optim.Adam, losses


@pytest.mark.parametrize("build", [sparse, complex_weights, two_precisions, autocast])
@pytest.mark.parametrize("method", METHODS)
def test_whatever_torch_trains_is_trained_or_refused(build, method):
    params, kind, losses = build()
    plain = kind(params, lr=1e-2)
    for _ in range(3):
        plain.zero_grad()
        sum(losses().values()).backward()
        plain.step()
    expected = [p.detach().clone() for p in params]
    params, kind, losses = build()
    before = [p.detach().clone() for p in params]
    if method == "m_config":
        kind = optim.SGD
    opt = MultiLossOptimizer(kind(params, lr=1e-2), method)
    if method not in ("sum", "relobralo") and build is not autocast:
        with pytest.raises(LayoutError, match="use 'sum', which takes the plain step"):
            opt.step(losses())
        assert all(map(torch.equal, params, before))
        return
    for _ in range(3):
        opt.step(losses())
    assert not any(map(torch.equal, params, before))
    if method == "sum":
        assert all(map(torch.equal, params, expected))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sum", "relobralo", "pcgrad", "grad_norm"])
@pytest.mark.parametrize("alone", [True, False])
def test_compiled_networks_train_or_say_what_to_set(method, alone):
    """``alone`` or with an unknown outside of the optimizer, for which a second pass is needed."""
    torch._dynamo.reset()
    net, nu, x = network(outputs=2), nn.Parameter(torch.ones(())), points()
    fast = torch.compile(net, backend="aot_eager")
    opt = MultiLossOptimizer(inner(net.parameters(), method), method)
    before = copy.deepcopy(net)
    y = fast(x) * (1 if alone else nu)
    losses = {"a": (y[:, 0] - 1).square().mean(), "b": (y[:, 1] + 2).square().mean()}
    if method == "sum" or (alone and method == "relobralo"):
        opt.step(losses)
    else:
        try:
            opt.step(losses)
        except MethodError as refusal:
            assert "donated_buffer = False" in str(refusal)  # noqa: PT017
            assert all(map(torch.equal, net.parameters(), before.parameters()))
            return
    assert not any(map(torch.equal, net.parameters(), before.parameters()))


def test_gradients_that_a_hook_takes_were_reached():
    net, x, taken = network(), points(), []

    def take(p):
        taken.append(p.grad)
        p.grad = None

    for p in net.parameters():
        p.register_post_accumulate_grad_hook(take)
    opt = MultiLossOptimizer(inner(net.parameters()), "sum")
    opt.step({"a": net(x).square().mean(), "b": (net(x) - 1).square().mean()})
    assert len(taken) == 4


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_may_be_a_parameter_itself(method):
    a = nn.Parameter(torch.ones(()))
    opt = MultiLossOptimizer(inner([a], method), method)
    for _ in range(2):
        opt.step({"a": a, "b": a})
    assert a < 1
