"""NTK weights against the exact trace from the full Jacobian of the residuals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from conflictopt import Losses, MethodError, MultiLossOptimizer, make
from conflictopt.core.buffer import RowBuffer
from conflictopt.core.gradients import GradientSource
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.objective import Given


@given(seed=st.integers(0, 2**31), count=st.integers(2, 5))
def test_exact_for_one_point_and_inverse_weights_sum_to_the_count(
    seed, count, step, coefficients, random_rows
):
    rows = random_rows(seed, count)
    w = coefficients(make("ntk", momentum=0.0, probes=1), step(rows))
    traces = rows.square().sum(dim=1)
    torch.testing.assert_close(w, traces.mean() / traces)
    assert float((1 / w).sum()) == pytest.approx(count)


@pytest.fixture
def network():
    """Parameters and ``residuals()`` of a small network: 5 points inside, 2 on the boundary."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    inside = torch.linspace(0, 1, 5).double()[:, None].requires_grad_()
    edge = torch.tensor([[0.0], [1.0]]).double()

    def residuals():
        u = net(inside)
        (slope,) = torch.autograd.grad(u.sum(), inside, create_graph=True)
        return {"pde": slope - u, "bc": net(edge) - 1}

    return list(net.parameters()), residuals


def trace(r, params, weight=1.0):
    """``tr(J J^T) / N`` of a residual tensor from its full Jacobian."""
    options = {"retain_graph": True, "materialize_grads": True}
    rows = [torch.autograd.grad(entry, params, **options) for entry in r.ravel()]
    return weight / r.numel() * sum(float(g.square().sum()) for row in rows for g in row)


def source_of(losses, params):
    layout = ParameterLayout.build(params)
    return GradientSource(Given(losses), layout, RowBuffer)


@pytest.mark.slow
def test_ntk_probes_average_to_the_exact_trace(network):
    params, residuals = network
    r = residuals()
    opt = MultiLossOptimizer(
        torch.optim.SGD(params, lr=0.0), make("ntk", momentum=0.0, probes=4000)
    )
    opt.step({n: v.square().mean() for n, v in r.items()}, residuals=r)
    exact = np.array([trace(v, params) for v in residuals().values()])
    np.testing.assert_allclose(opt.last.coefficients.numpy(), exact.mean() / exact, rtol=0.05)


@pytest.mark.slow
def test_several_residual_sets_of_one_loss_add_their_weighted_traces(network):
    params, residuals = network
    r = residuals()
    pairs = ((r["pde"], 2.0), (r["bc"], 0.5))
    loss = sum(w * v.square().mean() for v, w in pairs)
    source = source_of(Losses(("all",), (loss,), (0,), {"all": pairs}), params)
    g = torch.Generator().manual_seed(0)
    expected = sum(trace(v, params, w) for v, w in pairs)
    assert source.residual_traces(4000, None, g).tolist() == [pytest.approx(expected, rel=0.1)]


def test_ntk_refuses_missing_and_mismatched_residuals(network):
    params, residuals = network
    opt = MultiLossOptimizer(torch.optim.SGD(params, lr=0.0), "ntk")
    r = residuals()
    losses = {n: v.square().mean() for n, v in r.items()}
    with pytest.raises(MethodError, match="of every loss and got none for 'bc'"):
        opt.step(losses, residuals={"pde": r["pde"]})
    with pytest.raises(MethodError, match=r"'bc' is .*, but the mean square of its residuals is"):
        opt.step(losses, residuals={**r, "bc": 2 * r["bc"]})
