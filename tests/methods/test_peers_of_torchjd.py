"""Methods that torchjd has by the same name: held against it, and against their own equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conflictopt import MultiLossOptimizer, make
from conflictopt.methods.surgery.fairgrad import fair_shares

jd = pytest.importorskip("torchjd.aggregation")
scalar = pytest.importorskip("torchjd.scalarization")

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(2, 3), (2, 8), (3, 5), (4, 9), (5, 12)])
pytestmark = pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")


@pytest.fixture(scope="module")
def update(step):
    """``update(name, rows, ...)``: coefficients and update from gradients."""

    def of(name, rows, **options):
        method = make(name, **options)
        view = step(rows)
        c = method.choose(view, method.init(view.spec))[0]
        return c, c @ rows

    return of


# -- fairgrad ------------------------------------------------------------------------------------


@given(seed=seeds, shape=shapes, alpha=st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_gains_to_the_power_alpha_are_inverse_to_coefficients(
    seed, shape, alpha, update, random_rows
):
    rows = random_rows(seed, *shape, span=1.0)
    a, d = update("fairgrad", rows, alpha=alpha)
    if float(d.norm()) == 0:
        return
    assert a.min() > 0
    torch.testing.assert_close((rows @ d) ** alpha * a, torch.ones_like(a), rtol=1e-6, atol=0)


@given(seed=seeds, shape=shapes, alpha=st.sampled_from([1.0, 2.0]))
def test_the_direction_is_torchjds(seed, shape, alpha, update, random_rows):
    rows = random_rows(seed, *shape, span=0.2)
    expected = jd.FairGrad(alpha=alpha)(rows)
    found = update("fairgrad", rows, alpha=alpha)[1]
    theirs = torch.linalg.lstsq(rows.T, expected[:, None]).solution[:, 0]
    residual = (rows @ expected) ** alpha * theirs - 1
    if not bool(residual.abs().max() < 1e-6):
        return  # least squares stopped elsewhere
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(expected.norm()))


def test_with_alpha_one_it_is_nashs_solution(update, random_rows):
    rows = random_rows(3, 4, 9, span=1.0)
    fair = update("fairgrad", rows, alpha=1.0)[1]
    nash = update("nash_mtl", rows, max_norm=math.inf)[1]
    torch.testing.assert_close(fair, nash, rtol=1e-9, atol=0)


def test_towards_its_limits_it_is_the_sum_and_the_fairest(update):
    rows = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert update("fairgrad", rows, alpha=0.02)[0].tolist() == pytest.approx([1, 1], rel=0.1)
    gains = rows @ update("fairgrad", rows, alpha=10.0)[1]
    assert float(gains[0] / gains[1]) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("ratio", [1e-12, 1e-4, 1.0, 1e12])
def test_norms_may_differ_by_any_factor(alpha, ratio):
    unit = np.array([[1.0, -0.6, 0.1], [-0.6, 1.0, 0.2], [0.1, 0.2, 1.0]])
    norms, power = np.array([ratio, 1.0, 3.0]), 1 / alpha
    b = fair_shares(unit, norms, power)
    assert b.min() > 0
    wanted = norms ** (power - 1) * b**-power
    # as near as sums of such terms can be
    assert (np.abs(unit @ b - wanted) <= 1e-12 * (np.abs(unit) @ b + wanted)).all()


def test_opposed_gradients_stop_it_and_say_so(step):
    method = make("fairgrad")
    rows = torch.tensor([[1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), method)
    opt.step({"a": rows[0] @ w, "b": rows[1] @ w})
    assert w.tolist() == [0.0, 0.0]
    assert len(opt.reports) == 1


# -- stch ----------------------------------------------------------------------------------------


@given(seed=seeds, count=st.integers(2, 5), mu=st.sampled_from([1e-3, 0.1, 1.0, 100.0]))
def test_stch_has_torchjds_gradient(seed, count, mu):
    draw = torch.Generator().manual_seed(seed)
    values = torch.rand(count, generator=draw, dtype=torch.float64).requires_grad_()
    (expected,) = torch.autograd.grad(scalar.STCH(mu=mu)(values), values)
    assert weights("stch", values.detach(), mu=mu) == pytest.approx(
        (count**2 * expected).tolist(), rel=1e-9, abs=1e-12
    )


def weights(name, values, **options):
    """What a fresh method chooses for losses of these values."""
    w = torch.nn.Parameter(values.clone())
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), make(name, **options))
    opt.step({f"l{k}": w[k] for k in range(len(values))})
    return opt.last.coefficients.tolist()


def test_stch_of_large_losses_stays_finite():
    found = weights("stch", torch.tensor([1e300, 1.0, 0.0], dtype=torch.float64), mu=1e-3)
    assert found == [3.0, 0.0, 0.0]


# -- famo ----------------------------------------------------------------------------------------


@given(seed=seeds, count=st.integers(2, 5), lr=st.sampled_from([0.025, 0.2]))
def test_famo_has_torchjds_weights_where_points_stay(seed, count, lr):
    """Its losses after a step are then those of the next one."""
    draw = torch.Generator().manual_seed(seed)
    runs = torch.rand(12, count, generator=draw, dtype=torch.float64) + 0.05
    peer = scalar.FAMO(count, lr=lr, weight_decay=1e-3).double()
    w = torch.nn.Parameter(torch.ones(count, dtype=torch.float64))
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), make("famo", lr=lr))
    for t, values in enumerate(runs):
        if t > 0:
            peer.update(values)
        given_values = values.clone().requires_grad_()
        (expected,) = torch.autograd.grad(peer(given_values), given_values)
        opt.step({f"l{k}": values[k] * w[k] for k in range(count)})
        found = opt.last.coefficients
        torch.testing.assert_close(found, count * expected, rtol=1e-6, atol=1e-9)


def test_famo_of_a_loss_of_zero_stays_finite():
    found = weights("famo", torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert all(map(math.isfinite, found))
    assert sum(found) == pytest.approx(2.0)
