"""Rows of a Jacobian one by one, and a tiny PINN, for the tests of Levenberg-Marquardt."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from conflictopt.curvature.jacobian import RowJacobian


def _row_by_row(r, params):
    """``[n, P]``: one plain backward pass for each entry."""
    rows = []
    for entry in r.reshape(-1):
        if not entry.requires_grad:
            rows.append(torch.cat([torch.zeros_like(p).reshape(-1) for p in params]))
            continue
        grads = torch.autograd.grad(entry, params, retain_graph=True, allow_unused=True)
        pairs = zip(grads, params, strict=True)
        rows.append(
            torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs])
        )
    return torch.stack(rows)


def _check(engine, closure, rows=None, tolerance=1e-10):
    """Compare the rows of every residual set with backward passes of single entries."""
    sets = engine.evaluate(closure)
    for number, s in enumerate(sets):
        m = s.values.shape[1]
        chosen = None if rows is None else rows[rows < s.rows]
        count = s.rows if chosen is None else len(chosen)
        out = torch.full((count * m, engine.size), torch.nan, dtype=torch.float64)
        engine.fill(sets, number, chosen, out)
        plain = s.values if chosen is None else s.values[chosen]
        expected = _row_by_row(plain, engine.params).double()
        allowed = tolerance * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(out, expected, rtol=0.0, atol=allowed)


class Heat:
    """``u_t = nu u_xx`` with a condition, as residuals in float64; every ``net()`` starts alike."""

    def __init__(self, points=24, width=6):
        self.width = width
        draw = torch.Generator().manual_seed(1)
        self.points = torch.rand(points, 2, generator=draw, dtype=torch.float64)

    def net(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            w = self.width
            return nn.Sequential(
                nn.Linear(2, w), nn.Tanh(), nn.Linear(w, w), nn.Tanh(), nn.Linear(w, 1)
            ).double()

    def residuals(self, net):
        x = self.points.clone().requires_grad_()
        (first,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first[:, 0].sum(), x, create_graph=True)
        start = self.points * torch.tensor([1.0, 0.0], dtype=torch.float64)
        return {
            "pde": first[:, 1] - 0.1 * second[:, 0],
            "ic": net(start) - torch.sin(3 * start[:, :1]),
        }

    def train(self, net, opt, steps):
        return [opt.step(lambda: self.residuals(net)) for _ in range(steps)]


@pytest.fixture
def row_by_row():
    return _row_by_row


@pytest.fixture
def check_rows():
    """``check_rows(engine, closure, rows=None, tolerance=1e-10)``."""
    return _check


@pytest.fixture
def engine_of():
    """``engine_of(params, name="auto")``: a ``RowJacobian``."""
    return lambda params, name="auto": RowJacobian(list(params), name)


@pytest.fixture
def heat():
    return Heat()


@pytest.fixture
def make_heat():
    return Heat


def _same(a, b):
    """Bitwise equality of modules, and of nested dicts and lists of tensors."""
    if isinstance(a, nn.Module):
        a, b = a.state_dict(), b.state_dict()
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


@pytest.fixture
def same():
    """``same(a, b)``: whether two modules or nested states are bitwise equal."""
    return _same


@pytest.fixture
def through_a_file():
    """What ``torch.load(weights_only=True)`` gives back after ``torch.save``."""

    def pass_through(value):
        file = io.BytesIO()
        torch.save(value, file)
        file.seek(0)
        return torch.load(file, weights_only=True)

    return pass_through
