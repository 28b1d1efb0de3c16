"""A Jacobian whose large layers stay factors does what its rows written out do."""

import pytest
import torch

from conflictopt.curvature import row_matrix
from conflictopt.curvature.batch import draw
from conflictopt.curvature.jacobian import RowJacobian


def _problem(dtype: torch.dtype):
    torch.manual_seed(0)
    linear, tanh = torch.nn.Linear, torch.nn.Tanh
    net = torch.nn.Sequential(linear(2, 40), tanh(), linear(40, 40), tanh(), linear(40, 2))
    net = net.to(dtype)
    scalar = torch.nn.Parameter(torch.tensor(0.3, dtype=dtype))
    x = torch.rand(30, 2, dtype=dtype).requires_grad_()

    def closure():
        u = net(x)
        (g,) = torch.autograd.grad(u[:, 0].sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g[:, 0].sum(), x, create_graph=True)
        pairs = net(torch.cat([x, x + 1]))
        return {
            "equation": u + scalar * g * h,  # two entries a row
            "sliced": (net(x)[3:, 1], 2.0),
            "periodic": pairs[:30] - pairs[30:],  # two batch rows a row
            "mean": net(x).mean(),
            "constant": torch.ones(5, dtype=dtype),
        }

    return [*net.parameters(), scalar], closure


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rows", [None, 60])
@pytest.mark.parametrize("elementwise", [-(10**9), 10**9])
def test_products_are_those_of_the_rows(dtype, rows, elementwise, monkeypatch):
    # all matrices stay factors, or none
    monkeypatch.setattr(row_matrix, "_ELEMENTWISE", elementwise)
    params, closure = _problem(dtype)
    engine = RowJacobian(params)
    sets = engine.evaluate(closure)
    batch = draw(sets, rows, torch.Generator().manual_seed(0))
    found = batch.jacobian(sets, engine, lambda n, p: torch.empty(n, p, dtype=torch.float64))
    written = torch.empty(len(batch.residuals(sets)), engine.size, dtype=torch.float64)
    start = 0
    for number, (s, chosen) in enumerate(zip(sets, batch.chosen, strict=True)):
        count = s.rows if chosen is None else len(chosen)
        block = written[start : start + count * s.values.shape[1]]
        engine.fill(sets, number, chosen, block)
        block *= s.scale(count)
        start += len(block)
    near = {"rtol": 0, "atol": 1e3 * torch.finfo(dtype).eps}
    v = torch.linspace(-1, 1, len(written), dtype=torch.float64)
    step = torch.linspace(-1, 1, engine.size, dtype=torch.float64)
    assert len(found._layers) == (3 if elementwise < 0 else 0)
    torch.testing.assert_close(found.gram(), written @ written.t(), **near)
    torch.testing.assert_close(found.combined(v), written.t() @ v, **near)
    torch.testing.assert_close(found.along(step), written @ step, **near)


def test_more_rows_than_columns_are_written_out():
    net = torch.nn.Linear(2, 1).double()
    x = torch.rand(9, 2, dtype=torch.float64)
    engine = RowJacobian(list(net.parameters()))
    sets = engine.evaluate(lambda: {"data": net(x)})
    batch = draw(sets, None, torch.Generator())
    found = batch.jacobian(sets, engine, lambda n, p: torch.empty(n, p, dtype=torch.float64))
    rows = torch.cat([x, torch.ones(9, 1, dtype=torch.float64)], dim=1) / 3
    torch.testing.assert_close(found.gram_of_columns(), rows.t() @ rows)
