"""Rows of the Jacobian as they are handed out, against differentiating entry by entry."""

from __future__ import annotations

import pytest
import torch

import conflictopt
from conflictopt.curvature import row_jacobian


@pytest.fixture
def net():
    torch.manual_seed(0)
    linear, tanh = torch.nn.Linear, torch.nn.Tanh()
    return torch.nn.Sequential(linear(2, 6), tanh, linear(6, 6), tanh, linear(6, 2)).double()


@pytest.fixture
def residuals(net):
    """A closure: second derivatives of the first output, and two residual tensors of the second."""
    x = torch.rand(9, 2, dtype=torch.float64).requires_grad_()

    def of():
        u = net(x)
        (slope,) = torch.autograd.grad(u[:, 0].sum(), x, create_graph=True)
        (bend,) = torch.autograd.grad(slope[:, 0].sum(), x, create_graph=True)
        return {"pde": (bend, 3.0), "bc": [u[:4], (slope[:2, 1], 0.5)]}

    return of


def by_entry(entries, params):
    rows = []
    for r in entries.reshape(-1):
        grads = torch.autograd.grad(r, params, retain_graph=True, allow_unused=True)
        pairs = zip(grads, params, strict=True)
        rows.append(torch.cat([(p * 0 if g is None else g).reshape(-1) for g, p in pairs]))
    return torch.stack(rows).detach()


@pytest.mark.parametrize("engine", ["auto", "layers", "batched"])
def test_rows_are_those_of_the_entries(net, residuals, engine):
    params, found = list(net.parameters()), residuals()
    rows = row_jacobian(residuals, net, engine)
    assert list(rows) == ["pde", "bc"]
    (bend, _), (values, (slope, _)) = found["pde"], found["bc"]
    torch.testing.assert_close(rows["pde"], by_entry(bend, params), rtol=1e-10, atol=1e-12)
    expected = torch.cat([by_entry(values, params), by_entry(slope, params)])
    torch.testing.assert_close(rows["bc"], expected, rtol=1e-10, atol=1e-12)


def test_frozen_parameters_have_no_columns_and_grad_stays(net, residuals):
    net[0].requires_grad_(False)
    params = [p for p in net.parameters() if p.requires_grad]
    rows = row_jacobian(residuals, net)
    (bend, _) = residuals()["pde"]
    torch.testing.assert_close(rows["pde"], by_entry(bend, params), rtol=1e-10, atol=1e-12)
    assert all(p.grad is None for p in net.parameters())


def test_refusals_name_what_is_wrong(net, residuals):
    with pytest.raises(conflictopt.LossError, match="found all of them frozen"):
        row_jacobian(residuals, [])
    with pytest.raises(conflictopt.NonFiniteError, match="found inf or nan in a"):
        row_jacobian(lambda: {"a": net(torch.full((1, 2), torch.inf).double()) * 0}, net)


class Waves(torch.nn.Module):
    """Parameters of which none acts by a linear map; more scalars than get a column each."""

    def __init__(self):
        super().__init__()
        self.rates = torch.nn.Parameter(torch.linspace(1, 2, 20, dtype=torch.float64))

    def forward(self, x):
        return torch.sin(x * self.rates).sum(1)


def test_two_losses_of_a_model_without_linear_maps():
    net, x = Waves(), torch.rand(5, 1, dtype=torch.float64)

    def closure():
        return {"a": net(x) - 1, "b": net(x[:2]).square()}

    rows, params = row_jacobian(closure, net), list(net.parameters())
    for name, r in closure().items():
        torch.testing.assert_close(rows[name], by_entry(r, params), rtol=1e-10, atol=1e-12)
