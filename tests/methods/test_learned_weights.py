"""Weights that are learned beside the network, against torch's Adam on the objective."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from conflictopt import ConflictOptWarning, MethodError, MultiLossOptimizer, make

seeds = st.integers(0, 2**31)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

SOFTMAX = ("gradnorm_chen", "resnorm", "min_max")
LEARNED = (*SOFTMAX, "uncertainty")


def wrap(method, size=3, dtype=torch.float64):
    theta = nn.Parameter(torch.zeros(size, dtype=dtype))
    return MultiLossOptimizer(torch.optim.SGD([theta], lr=0.0), method)


def drive(opt, values, rows=None):
    """Weights of each step, in which loss k has the value ``[t][k]`` and the gradient ``[t][k]``.

    The learning rate is 0, so that the parameters stay at 0. Gradients are ones by default.
    """
    (theta,) = opt.param_groups[0]["params"]
    seen = []
    for t, now in enumerate(values):
        g = torch.ones(len(now), len(theta)) if rows is None else torch.tensor(rows[t])
        opt.step([float(v) + row @ theta for v, row in zip(now, g.to(theta), strict=True)])
        seen.append(opt.last.coefficients.double().numpy())
    return np.array(seen)


def draw(seed, steps, count, decades=1.0):
    """Losses ``[T, K]`` at random within so many decades around 1, and rows ``[T, K, 3]``."""
    rng = np.random.default_rng(seed)
    values = 10 ** rng.uniform(-decades, decades, (steps, count))
    return values, rng.standard_normal((steps, count, 3)) * values[..., None]


# -- torch's Adam as the oracle ----------------------------------------------------------------


def softmax_weights(s):
    return len(s) * torch.softmax(s, dim=0)


def precisions(s):
    return torch.exp(-s) / 2


def rates(now, first):
    ratio = torch.where(first > 0, now / first, 1.0)
    return ratio / ratio.mean()


def gradnorm_objective(s, now, first, norms, alpha):
    sizes = softmax_weights(s) * norms
    aim = sizes.mean().detach() * rates(now, first) ** alpha
    return (sizes - aim).abs().sum()


def resnorm_objective(s, now, first, norms, alpha):
    return (softmax_weights(s) * now - now.mean() * rates(now, first) ** alpha).abs().sum()


def min_max_objective(s, now, first, norms, alpha):
    return -(softmax_weights(s) * now).sum()


def uncertainty_objective(s, now, first, norms, alpha):
    return (torch.exp(-s) * now / 2 + s / 2).sum()


OBJECTIVES = {
    "gradnorm_chen": (gradnorm_objective, softmax_weights),
    "resnorm": (resnorm_objective, softmax_weights),
    "min_max": (min_max_objective, softmax_weights),
    "uncertainty": (uncertainty_objective, precisions),
}


def by_adam(name, values, rows, lr, alpha=1.0, start=0.0, dtype=torch.float64):
    """Weights before each step of ``torch.optim.Adam`` on what the method documents."""
    objective, weights = OBJECTIVES[name]
    values = torch.tensor(values, dtype=dtype).double()
    norms = torch.tensor(rows, dtype=dtype).double().norm(dim=-1)
    s = torch.full(values.shape[1:], start, dtype=torch.float64, requires_grad=True)
    adam, seen = torch.optim.Adam([s], lr=lr), []
    for now, sizes in zip(values, norms, strict=True):
        seen.append(weights(s).detach().numpy())
        adam.zero_grad()
        objective(s, now, values[0], sizes, alpha).backward()
        adam.step()
    return np.array(seen)


@pytest.mark.parametrize("name", LEARNED)
@given(seed=seeds, count=st.integers(2, 5), lr=st.sampled_from([1e-3, 0.03, 0.2]))
def test_weights_follow_adam_on_the_documented_objective(name, seed, count, lr):
    values, rows = draw(seed, 15, count)
    method = make(name, lr=lr, cap=math.inf, **({"alpha": 1.0} if name in SOFTMAX[:2] else {}))
    expected = by_adam(name, values, rows, lr)
    np.testing.assert_allclose(drive(wrap(method), values, rows), expected, rtol=1e-9)


@pytest.mark.parametrize("name", LEARNED)
def test_float32_losses_are_weighted_as_in_float64(name):
    values, rows = draw(7, 40, 3)
    opt = wrap(make(name, lr=0.05), dtype=torch.float32)
    alpha = getattr(opt.aggregator, "alpha", 1.0)
    expected = by_adam(name, values, rows, 0.05, alpha, dtype=torch.float32)
    np.testing.assert_allclose(drive(opt, values, rows), expected, rtol=1e-6)
    assert opt.last.coefficients.dtype == torch.float32


@pytest.mark.parametrize("name", ["gradnorm_chen", "resnorm"])
@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5])
def test_alpha_is_the_power_of_the_relative_rate(name, alpha):
    values, rows = draw(3, 30, 4)
    found = drive(wrap(make(name, lr=0.05, alpha=alpha)), values, rows)
    np.testing.assert_allclose(found, by_adam(name, values, rows, 0.05, alpha), rtol=1e-9)


@pytest.mark.parametrize("name", ["gradnorm_chen", "resnorm"])
def test_a_loss_that_began_at_zero_has_rate_one(name):
    values, rows = draw(5, 20, 3)
    values[0, 1] = 0.0
    found = drive(wrap(make(name, lr=0.05, alpha=1.0)), values, rows)
    np.testing.assert_allclose(found, by_adam(name, values, rows, 0.05), rtol=1e-9)


@pytest.mark.parametrize("start", [-0.5, 1.5])
def test_uncertainty_begins_at_start(start):
    values, rows = draw(11, 20, 3)
    found = drive(wrap(make("uncertainty", lr=0.05, start=start)), values, rows)
    assert found[0].tolist() == pytest.approx([math.exp(-start) / 2] * 3)
    np.testing.assert_allclose(
        found, by_adam("uncertainty", values, rows, 0.05, start=start), rtol=1e-9
    )


# -- invariants --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
@given(seed=seeds, count=st.integers(1, 6))
def test_weights_are_positive_and_sum_to_the_count(name, seed, count):
    w = drive(wrap(make(name, lr=0.5)), *draw(seed, 12, count, decades=3.0))
    assert (w > 0).all()
    np.testing.assert_allclose(w.sum(axis=1), count, rtol=1e-12)


@pytest.mark.parametrize("name", SOFTMAX)
def test_equal_losses_gradients_and_progress_leave_weights_at_one(name):
    fall = np.exp(-0.1 * np.arange(50))
    values = fall[:, None] * np.full(3, 0.7)
    rows = fall[:, None, None] * np.array([[1.0, 2, 3], [3, 1, 2], [2, 3, 1]])
    assert (drive(wrap(make(name, lr=0.1)), values, rows) == 1).all()


def test_gradnorm_with_equal_norms_looks_at_progress_alone():
    fall = np.exp(-0.1 * np.arange(50))
    values = fall[:, None] * np.array([1e-3, 1.0, 1e3])
    rows = np.broadcast_to([[1.0, 2, 3], [3, 1, 2], [2, 3, 1]], (50, 3, 3))
    assert (drive(wrap(make("gradnorm_chen", lr=0.1)), values, rows) == 1).all()


@pytest.mark.slow
def test_gradnorm_settles_at_equal_weighted_norms():
    rows = np.broadcast_to(np.diag([3.0, 1.0, 0.5]), (600, 3, 3))
    last = drive(wrap(make("gradnorm_chen", lr=4e-3)), np.ones((600, 3)), rows)[-1]
    inverse = np.array([1 / 3, 1.0, 2.0])
    np.testing.assert_allclose(last, 3 * inverse / inverse.sum(), rtol=0.02)


@pytest.mark.parametrize("name", ["gradnorm_chen", "resnorm"])
def test_the_loss_that_lags_behind_gains_weight(name):
    values = np.stack([np.ones(100), np.exp(-0.1 * np.arange(100))], axis=1)
    w = drive(wrap(make(name, lr=0.01, alpha=2.0)), values)
    assert w[-1, 0] > 1.2 > 0.8 > w[-1, 1]


def test_resnorm_with_alpha_one_ignores_the_progress_of_losses_that_began_equal():
    values = np.exp(-np.arange(50)[:, None] * [0.0, 0.1, 0.3])
    assert (drive(wrap(make("resnorm", lr=0.1)), values) == 1).all()


def test_min_max_raises_what_is_above_the_mean_and_lowers_the_rest():
    w = drive(wrap("min_max"), np.tile([1.0, 2.0, 5.0, 6.0], (2, 1)))[-1]
    assert (w[:2] < 1).all()
    assert (w[2:] > 1).all()


def test_softmax_methods_see_no_gradient_of_the_network_in_their_own():
    """What the network descends is ``sum_k w_k L_k`` with weights held."""
    values, rows = draw(2, 10, 3)
    opt = wrap("gradnorm_chen")
    w = drive(opt, values, rows)
    (theta,) = opt.param_groups[0]["params"]
    np.testing.assert_allclose(theta.grad.numpy(), w[-1] @ rows[-1], rtol=1e-12)


def test_uncertainty_begins_at_half_the_sum():
    values, rows = draw(4, 1, 3)
    opt = wrap("uncertainty")
    assert drive(opt, values, rows).tolist() == [[0.5, 0.5, 0.5]]
    (theta,) = opt.param_groups[0]["params"]
    np.testing.assert_allclose(theta.grad.numpy(), rows[0].sum(axis=0) / 2, rtol=1e-12)


def test_uncertainty_settles_where_weighted_losses_are_half():
    values = np.tile([0.02, 0.3, 1.0, 5.0], (600, 1))
    w = drive(wrap(make("uncertainty", lr=0.03)), values)
    np.testing.assert_allclose(w[-1] * values[-1], 0.5, rtol=1e-3)


@pytest.mark.parametrize("loss", [0.25, 3.0, 1e4])
def test_uncertainty_rests_at_a_stationary_start(loss):
    method = make("uncertainty", lr=0.1, start=math.log(loss))
    at_rest, above = (drive(wrap(method), np.full((2, 2), c * loss)) for c in (1, 2))
    np.testing.assert_allclose(at_rest, 0.5 / loss, rtol=1e-6)
    np.testing.assert_allclose(above[1] / above[0], math.exp(-0.1), rtol=1e-6)


# -- caps --------------------------------------------------------------------------------------

APART = np.tile([9.0, 1.0], (30, 1))
STEEP = np.broadcast_to([[9.0, 0, 0], [0, 1.0, 0]], (30, 2, 3))


def ratios(w):
    return w.max(axis=1) / w.min(axis=1)


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
def test_the_cap_bounds_the_ratio_of_two_weights(name):
    opt = wrap(make(name, lr=0.5, cap=2.0))
    assert ratios(drive(opt, APART, STEEP)).max() == pytest.approx(2.0)
    assert "ratio of two weights is kept below 2" in opt.reports["cap"].message


@pytest.mark.parametrize("name", SOFTMAX)
def test_an_infinite_cap_lifts_the_bound(name):
    opt = wrap(make(name, lr=0.5, cap=math.inf))
    assert ratios(drive(opt, APART, STEEP)).max() > 2.0
    assert not opt.reports


@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
def test_a_cap_that_no_ratio_reaches_changes_nothing():
    """In turn each loss is the largest, so that the others fall together."""
    values = np.ones((8, 20, 8))
    values[range(8), :, range(8)] = 2.0 * 3.0 ** np.arange(8)[:, None]
    values = values.reshape(160, 8)
    free = drive(wrap(make("min_max", lr=0.1, cap=math.inf)), values)
    opt = wrap(make("min_max", lr=0.1, cap=1.01 * ratios(free).max()))
    np.testing.assert_allclose(drive(opt, values), free, rtol=1e-9)
    assert not opt.reports


@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
def test_min_max_with_cap_one_is_the_plain_sum():
    assert (drive(wrap(make("min_max", lr=0.5, cap=1.0)), APART) == 1).all()


@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
def test_the_cap_bounds_the_weight_of_uncertainty():
    vanished = np.tile([1e-9, 1.0], (100, 1))
    opt = wrap(make("uncertainty", lr=0.1, cap=3.0))
    w = drive(opt, vanished)
    assert w.max() == pytest.approx(3.0)
    assert w[-1].tolist() == pytest.approx([3.0, 0.5])
    assert "weights are kept below 3" in opt.reports["cap"].message
    free = wrap(make("uncertainty", lr=0.1, cap=math.inf))
    assert drive(free, vanished).max() > 1000
    assert not free.reports


def test_one_warning_and_one_count_for_each_step_that_the_cap_acted():
    opt = wrap(make("min_max", lr=0.5, cap=4.0))  # s would pass log(4)/2 = 0.69 at step 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drive(opt, APART[:6])
    report = opt.reports["cap"]
    assert (report.count, report.first, report.last) == (5, 1, 5)
    assert [w.category for w in caught] == [ConflictOptWarning]
    assert "(cap, step 1)" in str(caught[0].message)


# -- edges -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEARNED)
@both_dtypes
def test_a_single_loss_keeps_weight_one(name, dtype):
    opt = wrap(make(name, lr=0.5), dtype=dtype)
    assert (drive(opt, *draw(0, 20, 1, decades=6.0)) == 1).all()
    assert not opt.reports


@pytest.mark.parametrize("name", LEARNED)
@both_dtypes
@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
@given(seed=seeds, count=st.integers(2, 5))
def test_weights_stay_finite_at_extreme_losses(name, dtype, seed, count):
    w = drive(wrap(make(name, lr=0.5), dtype=dtype), *draw(seed, 12, count, decades=12.0))
    assert np.isfinite(w).all()
    assert (w > 0).all()


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("when", [slice(0, 1), slice(3, 4), slice(0, None)])
@pytest.mark.parametrize("which", [[1], [0, 1, 2]])
def test_zero_losses_and_gradients_are_no_obstacle(name, when, which):
    values, rows = draw(1, 8, 3)
    values[when, which] = 0.0
    rows[when, which] = 0.0
    assert np.isfinite(drive(wrap(name), values, rows)).all()


@pytest.mark.parametrize("name", SOFTMAX)
def test_losses_and_gradients_of_zero_leave_weights_at_one(name):
    assert (drive(wrap(make(name, lr=0.5)), np.zeros((8, 3)), np.zeros((8, 3, 3))) == 1).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("min_max", {"lr": -1.0}, r"expected a finite lr >= 0, found -1\.0"),
        ("resnorm", {"lr": math.nan}, "expected a finite lr >= 0, found nan"),
        ("min_max", {"cap": 0.5}, r"expected cap >= 1, found 0\.5"),
        ("gradnorm_chen", {"alpha": -0.1}, r"expected a finite alpha >= 0, found -0\.1"),
        ("resnorm", {"alpha": math.inf}, "expected a finite alpha >= 0, found inf"),
        ("uncertainty", {"start": math.nan}, r"expected start in \[-100, 100\], found nan"),
        ("uncertainty", {"cap": 0.4}, r"at least the first weight, 0\.5, found 0\.4"),
        ("uncertainty", {"start": -800.0}, r"expected start in \[-100, 100\], found -800"),
    ],
)
def test_refused_options(name, options, message):
    with pytest.raises(MethodError, match=message):
        make(name, **options)


@pytest.mark.parametrize("name", ["gradnorm_chen", "resnorm", "min_max", "uncertainty"])
def test_a_loss_too_large_to_square_leaves_the_weights_as_they_are(name):
    w = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), make(name, lr=0.1), on_nonfinite="skip")
    opt.step({"a": 3 * w[0], "b": w[1]})
    opt.step({"a": 1e170 * w[0], "b": w[1]})
    assert opt.skipped == 1
    opt.step({"a": 3 * w[0], "b": w[1]})
    assert opt.completed == 2
    assert opt.last.coefficients.isfinite().all()
