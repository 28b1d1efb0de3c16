"""Weights from how fast losses fall, against the formulas in plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from conflictopt import MethodError, MultiLossOptimizer, make

seeds = st.integers(0, 2**31)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

RATES = ("softadapt", "dwa", "relobralo")
SHORT = {"softadapt": {"window": 2}, "dwa": {"window": 2}, "relobralo": {}}
VARIANTS = ("original", "normalized", "loss_weighted")


def wrap(method, dtype=torch.float64, **options):
    theta = nn.Parameter(torch.zeros(2, dtype=dtype))
    return MultiLossOptimizer(torch.optim.SGD([theta], lr=0.0), method, **options)


def drive(opt, values):
    """Weights of each step, in which loss k has the value ``values[t][k]``.

    The learning rate is 0, so that the parameters stay at 0.
    """
    (theta,) = opt.param_groups[0]["params"]
    seen = []
    for now in values:
        opt.step([float(v) + theta.sum() for v in now])
        seen.append(opt.last.coefficients.double().numpy())
    return np.array(seen)


def draw(seed, steps, count, decades=0.5):
    """Losses ``[T, K]`` at random within so many decades around 1."""
    return 10 ** np.random.default_rng(seed).uniform(-decades, decades, (steps, count))


def shares(logits):
    """``K softmax``, without the shift that keeps it finite."""
    e = np.exp(logits)
    return len(e) * e / e.sum()


# -- all three ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RATES)
@given(seed=seeds, count=st.integers(1, 6))
def test_weights_sum_to_the_count_at_every_step(name, seed, count):
    w = drive(wrap(make(name, **SHORT[name])), draw(seed, 9, count, decades=3.0))
    assert (w >= 0).all()
    np.testing.assert_allclose(w.sum(axis=1), count, rtol=1e-12)


@pytest.mark.parametrize("name", ["dwa", "relobralo"])
@given(seed=seeds, count=st.integers(2, 5))
def test_equal_progress_leaves_weights_at_one(name, seed, count):
    values = draw(seed, 9, 1) * draw(seed + 1, 1, count, decades=3.0)
    np.testing.assert_allclose(drive(wrap(make(name, **SHORT[name])), values), 1, rtol=1e-12)


@pytest.mark.parametrize("name", ["dwa", "relobralo"])
def test_the_units_of_a_loss_do_not_matter(name):
    values = draw(8, 9, 3)
    first, second = (drive(wrap(make(name, **SHORT[name])), c * values) for c in (1, [1e-9, 1, 50]))
    assert np.ptp(first, axis=0).min() > 0
    np.testing.assert_allclose(second, first, rtol=1e-12)


@pytest.mark.parametrize("name", RATES)
def test_the_loss_that_falls_slowest_gets_most(name):
    rates = np.array([0.3, 0.05, 0.0])
    values = np.exp(-np.arange(9)[:, None] * rates)
    last = drive(wrap(make(name, **SHORT[name])), values)[-1]
    assert last[0] < last[1] < last[2]


@pytest.mark.parametrize("name", RATES)
def test_the_first_step_is_the_plain_sum(name):
    opt = wrap(make(name, **SHORT[name]))
    assert drive(opt, draw(0, 1, 3)).tolist() == [[1.0, 1.0, 1.0]]
    (theta,) = opt.param_groups[0]["params"]
    assert theta.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("when", [slice(0, 1), slice(0, 2), slice(1, 2), slice(0, None)])
@pytest.mark.parametrize("which", [[1], [0, 1, 2]])
def test_losses_of_zero_are_no_obstacle(name, when, which):
    values = draw(1, 12, 3)
    values[when, which] = 0.0
    w = drive(wrap(make(name, **SHORT[name])), values)
    assert np.isfinite(w).all()
    np.testing.assert_allclose(w.sum(axis=1), 3)


@pytest.mark.parametrize("name", RATES)
@both_dtypes
@given(seed=seeds, count=st.integers(2, 5))
def test_weights_stay_finite_at_extreme_losses(name, dtype, seed, count):
    values = draw(seed, 9, count, decades=12.0)
    w = drive(wrap(make(name, **SHORT[name]), dtype), values)
    assert np.isfinite(w).all()
    assert (w >= 0).all()
    np.testing.assert_allclose(w.sum(axis=1), count, rtol=1e-6)


@pytest.mark.parametrize("name", RATES)
@both_dtypes
def test_a_single_loss_keeps_weight_one(name, dtype):
    assert (drive(wrap(make(name, **SHORT[name]), dtype), draw(0, 20, 1, decades=6.0)) == 1).all()


@pytest.mark.parametrize("name", RATES)
def test_float32_losses_are_weighted_as_in_float64(name):
    values = draw(3, 12, 3).astype(np.float32)
    narrow, wide = (
        drive(wrap(make(name, **SHORT[name]), d), values) for d in (torch.float32, torch.float64)
    )
    np.testing.assert_allclose(narrow, wide, rtol=1e-6)


# -- softadapt ---------------------------------------------------------------------------------


def softadapt(values, beta, window, variant):
    weights, seen = np.ones(values.shape[1]), []
    for t, now in enumerate(values):
        if t and t % window == 0:
            slopes = (now - values[t - window]) / window
            if variant == "normalized":
                slopes = slopes / np.abs(slopes).sum()
            e = np.exp(beta * slopes)
            if variant == "loss_weighted":
                e = values[t - window + 1 : t + 1].mean(axis=0) * e
            weights = len(e) * e / e.sum()
        seen.append(weights)
    return np.array(seen)


@pytest.mark.parametrize("variant", VARIANTS)
@given(
    seed=seeds, count=st.integers(2, 5), window=st.integers(1, 4), beta=st.floats(-3, 3, width=32)
)
def test_softadapt_against_numpy(variant, seed, count, window, beta):
    values = draw(seed, 12, count)
    found = drive(wrap(make("softadapt", beta=beta, window=window, variant=variant)), values)
    np.testing.assert_allclose(found, softadapt(values, beta, window, variant), rtol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_softadapt_changes_at_the_ends_of_windows_only(variant):
    w = drive(wrap(make("softadapt", window=4, variant=variant)), draw(2, 12, 3))
    assert (w[:4] == 1).all()
    changed = (np.diff(w, axis=0) != 0).any(axis=1).nonzero()[0] + 1
    assert changed.tolist() == [4, 8]


@pytest.mark.parametrize("variant", ["original", "normalized"])
@given(seed=seeds, slope=st.sampled_from([-0.05, 0.01, 0.2]))
def test_softadapt_gives_equal_slopes_equal_weights(variant, seed, slope):
    values = 1 + slope * np.arange(9)[:, None] + draw(seed, 1, 4)
    w = drive(wrap(make("softadapt", beta=5.0, window=2, variant=variant)), values)
    np.testing.assert_allclose(w, 1, rtol=1e-9)


def test_softadapt_with_equal_slopes_and_loss_weights_follows_the_means():
    start = np.array([1.0, 2.0, 6.0])
    values = start + 0.5 * np.arange(4)[:, None]
    last = drive(wrap(make("softadapt", window=3, variant="loss_weighted")), values)[-1]
    np.testing.assert_allclose(last, 3 * (start + 1.0) / (start + 1.0).sum())


@pytest.mark.parametrize("variant", ["original", "normalized"])
@given(seed=seeds, beta=st.floats(0.1, 2.0))
def test_softadapt_with_the_opposite_beta_reverses_the_order(variant, seed, beta):
    values = draw(seed, 3, 4)
    up, down = (
        drive(wrap(make("softadapt", beta=b, window=2, variant=variant)), values)[-1]
        for b in (beta, -beta)
    )
    assert np.argsort(up).tolist() == np.argsort(down)[::-1].tolist()
    np.testing.assert_allclose(up * down, (up * down)[0], rtol=1e-9)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("variant", ["original", "normalized"])
@given(seed=seeds)
def test_softadapt_orders_by_slope_whether_losses_fall_or_rise(variant, sign, seed):
    """A sum of slopes with their signs would turn the order round when losses fall."""
    slopes = sign * draw(seed, 1, 4)[0]
    values = 100 + np.arange(3)[:, None] * slopes
    last = drive(wrap(make("softadapt", window=2, variant=variant)), values)[-1]
    assert np.argsort(last).tolist() == np.argsort(slopes).tolist()


def test_softadapt_normalized_knows_no_units_and_original_does():
    values = draw(6, 3, 3)
    last = {
        (variant, c): drive(wrap(make("softadapt", window=2, variant=variant)), c * values)[-1]
        for variant in ("original", "normalized")
        for c in (1.0, 1e4)
    }
    np.testing.assert_allclose(last["normalized", 1e4], last["normalized", 1.0], rtol=1e-12)
    assert np.ptp(last["original", 1e4]) > 2 * np.ptp(last["original", 1.0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_softadapt_with_slopes_that_cancel_is_finite(variant):
    values = np.array([[2.0, 2.0], [1.0, 3.0], [1.0, 3.0]])
    assert np.isfinite(drive(wrap(make("softadapt", window=1, variant=variant)), values)).all()


# -- dwa ---------------------------------------------------------------------------------------


@given(seed=seeds, count=st.integers(2, 5), window=st.integers(1, 4), temperature=st.floats(0.5, 5))
def test_dwa_against_numpy(seed, count, window, temperature):
    values = draw(seed, 14, count)
    expected = []
    for t in range(14):
        done = t // window
        means = [values[n * window : (n + 1) * window].mean(axis=0) for n in range(done)]
        rate = means[-1] / means[-2] if done >= 2 else np.ones(count)
        expected.append(shares(rate / temperature))
    found = drive(wrap(make("dwa", window=window, temperature=temperature)), values)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_dwa_changes_at_the_ends_of_windows_from_the_second_on():
    w = drive(wrap(make("dwa", window=3)), draw(2, 12, 3))
    assert (w[:6] == 1).all()
    changed = (np.diff(w, axis=0) != 0).any(axis=1).nonzero()[0] + 1
    assert changed.tolist() == [6, 9]


def test_dwa_counts_a_mean_of_zero_as_no_change():
    values = np.array([[0.0, 2.0], [5.0, 2.0], [5.0, 2.0]])
    assert drive(wrap(make("dwa", window=1)), values)[-1].tolist() == [1.0, 1.0]


def test_dwa_temperature_evens_weights_out():
    spread = [
        np.ptp(drive(wrap(make("dwa", window=1, temperature=t)), draw(4, 3, 3))[-1])
        for t in (0.5, 2.0, 100.0)
    ]
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 0.2


# -- relobralo ---------------------------------------------------------------------------------


def candidates(values, weights, t, alpha, temperature):
    """The weights of step ``t >= 2`` without and with a lookback."""
    recent = (1 - alpha) * shares(values[t] / (temperature * values[t - 1]))
    lookback = shares(values[t] / (temperature * values[0]))
    return alpha * weights[t - 1] + recent, alpha * lookback + recent


@pytest.mark.parametrize(("rho", "which"), [(1.0, 0), (0.0, 1)])
@given(seed=seeds, alpha=st.floats(0, 1), temperature=st.floats(0.2, 3), count=st.integers(2, 4))
def test_relobralo_never_or_always_looks_back(rho, which, seed, alpha, temperature, count):
    values = draw(seed, 8, count)
    expected = [np.ones(count), shares(values[1] / (temperature * values[0]))]
    for t in range(2, 8):
        expected.append(candidates(values, expected, t, alpha, temperature)[which])
    method = make("relobralo", alpha=alpha, temperature=temperature, rho=rho)
    np.testing.assert_allclose(drive(wrap(method), values), expected, rtol=1e-10)


def lookbacks(values, w, alpha, temperature):
    """Per step from the third whether it looked back; it must have done one or the other."""
    found = []
    for t in range(2, len(values)):
        both = candidates(values, w, t, alpha, temperature)
        fits = [np.allclose(w[t], c, rtol=1e-10, atol=0) for c in both]
        assert sum(fits) == 1
        found.append(fits[1])
    return np.array(found)


@pytest.mark.parametrize("rho", [0.3, 0.9])
@pytest.mark.slow
def test_relobralo_keeps_the_past_with_probability_rho(rho):
    values = draw(12, 602, 3)
    method = make("relobralo", alpha=0.7, temperature=0.8, rho=rho)
    share = lookbacks(values, drive(wrap(method), values), 0.7, 0.8).mean()
    assert abs(share - (1 - rho)) < 4 * math.sqrt(rho * (1 - rho) / 600)


def test_relobralo_is_seedable():
    values = draw(9, 60, 3)
    method = make("relobralo", alpha=0.7, rho=0.5)
    first, again, other = (drive(wrap(method, seed=s), values) for s in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_relobralo_draws_nothing_from_the_global_source():
    before = torch.get_rng_state()
    drive(wrap(make("relobralo", rho=0.5)), draw(9, 10, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_relobralo_counts_a_loss_that_was_zero_as_unchanged():
    values = np.array([[0.0, 2.0], [7.0, 2.0]])
    assert drive(wrap("relobralo"), values)[-1].tolist() == [1.0, 1.0]


# -- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("softadapt", {"beta": math.inf}, "expected a finite beta, found inf"),
        ("softadapt", {"window": 0}, "expected window as a positive integer, found 0"),
        ("softadapt", {"variant": "soft"}, "expected variant='original', .*found 'soft'"),
        ("dwa", {"window": 2.0}, r"expected window as a positive integer, found 2\.0"),
        ("dwa", {"temperature": 0.0}, r"expected a finite temperature > 0, found 0\.0"),
        ("relobralo", {"alpha": 1.1}, r"expected alpha in \[0, 1\], found 1\.1"),
        ("relobralo", {"rho": math.nan}, r"expected rho in \[0, 1\], found nan"),
        ("relobralo", {"temperature": -1.0}, r"expected a finite temperature > 0, found -1\.0"),
    ],
)
def test_refused_options(name, options, message):
    with pytest.raises(MethodError, match=message):
        make(name, **options)
