"""Per-loss gradients of torch losses by every engine that a training loop has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import conflictopt
from conflictopt import MethodError, MultiLossOptimizer
from conflictopt.core.buffer import RowBuffer
from conflictopt.core.gradients import GradientSource
from conflictopt.core.gramian import _ENTRIES, gramian
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.losses import Losses
from conflictopt.core.objective import Given

ENGINES = ["auto", "graph", "batched"]


class Twice(torch.autograd.Function):
    """A function that cannot be vectorised."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return torch.from_numpy(2 * g.numpy())


def build():
    """Parameters, and losses that share nothing, a part, or all of their graphs."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    nu = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    spare = nn.Parameter(torch.ones(3, dtype=torch.float64))
    frozen = nn.Parameter(torch.ones(2, dtype=torch.float64), requires_grad=False)
    x = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    u = net(x)
    u_x = torch.autograd.grad(u[:, 0].sum(), x, create_graph=True)[0]
    u_xx = torch.autograd.grad(u_x[:, 0].sum(), x, create_graph=True)[0]
    losses = {
        "pde": (u_x[:, 1] - nu * u_xx[:, 0]).square().mean(),
        "same batch": u[:, 1].square().mean(),
        "own pass": (net(x.detach()) - 1).square().mean() * 1e8,
        "unknown only": (nu - 1) ** 2,
        "spare": 1e-8 * spare[:2].prod(),
        "linear": net[0].bias.sum(),
        "leaf": spare.sum() * frozen.sum(),
    }
    return [*net.parameters(), nu, spare, frozen], losses


def brute_force(losses, params):
    options = {"retain_graph": True, "allow_unused": True}
    touched = [[g is not None for g in torch.autograd.grad(v, params, **options)] for v in losses]
    rows = [torch.autograd.grad(v, params, **options, materialize_grads=True) for v in losses]
    return torch.stack([torch.cat([g.ravel() for g in row]) for row in rows]), touched


def source_of(losses, params, engine, **options):
    layout = ParameterLayout.build(params)
    return GradientSource(Given(Losses.of(losses)), layout, RowBuffer, engine, **options)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", ["mapping", "stack"])
def test_rows_are_the_jacobian(engine, form):
    params, losses = build()
    given = losses if form == "mapping" else torch.stack(list(losses.values()))
    source = source_of(given, params, engine)
    expected, touched = brute_force(losses.values(), source.layout.params)
    rows = source.rows()
    assert (rows - expected).abs().max(dim=1).values.le(1e-10 * expected.norm(dim=1)).all()
    if form == "mapping":
        assert [source.touched(k) for k in range(len(losses))] == touched


@pytest.mark.parametrize("engine", ENGINES)
def test_more_losses_than_parameters(engine):
    w = torch.tensor([0.5, -0.2], dtype=torch.float64, requires_grad=True)
    losses = [((k + 1) * w).sin().prod() for k in range(9)]
    expected, _ = brute_force(losses, (w,))
    torch.testing.assert_close(
        source_of(losses, [w], engine).rows(), expected, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", ["pcgrad", "grad_norm"])
def test_parameters_that_no_loss_touches_keep_no_gradient(engine, method):
    params, losses = build()
    losses = {k: v for k, v in losses.items() if k not in ("spare", "leaf")}
    opt = MultiLossOptimizer(torch.optim.SGD(params, lr=0.1), method, engine=engine)
    opt.backward(losses)
    assert params[-2].grad is None
    assert params[-1].grad is None
    assert params[0].grad is not None


def test_engines_lead_to_the_same_step():
    ends = []
    for engine in ENGINES:
        params, losses = build()
        opt = MultiLossOptimizer(torch.optim.SGD(params, lr=1e-9), "config", engine=engine)
        opt.step(losses)
        ends.append(torch.cat([p.detach().ravel() for p in params]))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-9, atol=1e-12)


def test_engine_names():
    params, losses = build()
    sgd = torch.optim.SGD(params, lr=0.1)
    with pytest.raises(MethodError, match="engine among auto, graph, rows, batched, found 'row'"):
        MultiLossOptimizer(sgd, "sum", engine="row")
    opt = MultiLossOptimizer(sgd, "pcgrad", engine="rows")
    with pytest.raises(
        MethodError, match=r"engine 'rows' needs losses that .* forward pass of its"
    ):
        opt.step(losses)


def test_batched_says_what_it_cannot_differentiate():
    w = torch.ones(3, requires_grad=True)
    losses = {"a": Twice.apply(w).sum(), "b": w.prod()}
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.1), "pcgrad", engine="batched")
    with pytest.raises(MethodError, match="engine 'batched' cannot differentiate these losses"):
        opt.step(losses)
    assert w.tolist() == [1.0, 1.0, 1.0]


def test_graphs_are_used_up_as_by_backward():
    params, losses = build()
    conflictopt.MultiLossOptimizer(torch.optim.SGD(params, lr=0.0), "pcgrad").step(losses)
    with pytest.raises(RuntimeError, match="a second time"):
        losses["own pass"].backward()


def test_a_plain_step_keeps_the_graphs_until_its_own_pass():
    params, losses = build()
    recorder = conflictopt.Recorder(steps=2, every=1)
    opt = MultiLossOptimizer(torch.optim.SGD(params, lr=0.0), recorder)
    expected = torch.autograd.grad(sum(losses.values()), params[:-1], retain_graph=True)
    opt.backward(losses)
    assert all(torch.equal(p.grad, g) for p, g in zip(params, expected, strict=False))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("extra", [-1, 0, 1, 7])
def test_gramian_across_the_borders_of_its_chunks(count, extra):
    draw = torch.Generator().manual_seed(count)
    rows = torch.randn(count, _ENTRIES // count + extra, generator=draw)
    rows *= 10.0 ** torch.linspace(-8, 8, count)[:, None]
    exact = rows.double().numpy() @ rows.double().numpy().T
    np.testing.assert_allclose(gramian(rows).numpy(), exact, rtol=1e-9, atol=0)


def test_gramian_accumulates_in_double():
    rows = torch.ones(1, 1 << 25) * 0.1
    assert gramian(rows).item() == pytest.approx(float(rows[0, 0]) ** 2 * (1 << 25), rel=1e-12)
