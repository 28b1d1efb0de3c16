"""Autocorrelation times and the block bootstrap, on series whose memory is known."""

from __future__ import annotations

import numpy as np
import pytest

from conflictopt.diagnosis.autocorrelation import autocorrelations, correlation_times
from conflictopt.diagnosis.bootstrap import block_length, resample, spread_correction
from conflictopt.lab.synthetic.noise import autoregressive


def series(samples, count, memory, seed=0):
    return autoregressive(samples, (count,), memory, np.random.default_rng(seed))


# -- memory ------------------------------------------------------------------------------------


def test_autocorrelations_against_loops():
    x = series(9, 3, 0.5)
    x[4, 1] = np.nan
    found = autocorrelations(x)
    for s in range(3):
        centred = np.nan_to_num(x[:, s] - np.nanmean(x[:, s]))
        for lag in range(9):
            expected = centred[: 9 - lag] @ centred[lag:] / (centred @ centred)
            assert found[lag, s] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.3, -1e9, np.nan])
def test_a_constant_has_no_memory(value):
    x = np.full((50, 1), value)
    assert autocorrelations(x)[1:].tolist() == [[0.0]] * 49
    assert correlation_times(x).tolist() == [1.0]


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_of_a_few_samples_no_memory_is_known(samples):
    assert correlation_times(series(samples, 2, 0.5)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8, 0.9])
def test_times_of_autoregressive_series(memory):
    times = correlation_times(series(2000, 40, memory))
    assert np.median(times) == pytest.approx((1 + memory) / (1 - memory), rel=0.15)


def test_a_drift_looks_like_a_memory_as_long_as_the_series():
    (time,) = correlation_times(np.linspace(0, 1, 40)[:, None])
    assert 15 <= time <= 40


# -- blocks ------------------------------------------------------------------------------------


def test_blocks_grow_with_memory_and_stay_within_a_third():
    lengths = [block_length(100, time) for time in (1.0, 2.0, 3.0, 9.0, 50.0, 100.0)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (1, 33)
    assert block_length(100, 3.0) == 7  # (1.5 * (4/3)**2 * 100)**(1/3) = 6.4
    assert block_length(2, 1.0) == 1


def test_independent_samples_have_the_usual_correction():
    assert spread_correction(25, 1, 1.0) == pytest.approx(np.sqrt(25 / 24))
    assert spread_correction(50, 6, 3.0) > spread_correction(500, 6, 3.0) > 1


def test_the_same_source_gives_the_same_resamples():
    x = series(40, 3, 0.5)
    a, b, other = (resample(x, 3.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a.means, b.means)
    assert not np.array_equal(a.means, other.means)


def test_resampled_means_centre_on_the_mean_without_nan():
    x = series(60, 2, 0.0)
    x[::7, 0] = np.nan
    found = resample(x, 1.0, np.random.default_rng(0))
    centre = np.nanmean(x, axis=0)
    assert np.abs(np.median(found.means, axis=0) - centre).max() < 0.3 * found.errors.max()


def test_equal_series_are_resampled_alike_and_constants_stay():
    x = np.column_stack([series(30, 1, 0.3), series(30, 1, 0.3), np.full(30, 0.25)])
    found = resample(x, 2.0, np.random.default_rng(0))
    assert np.array_equal(found.means[:, 0], found.means[:, 1])
    assert found.errors[2] == pytest.approx(0, abs=1e-15)


def test_a_single_sample_is_refused():
    with pytest.raises(ValueError, match="at least two samples to resample, found 1"):
        resample(np.ones((1, 1)), 1.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("samples", "memory", "lowest"),
    [(50, 0.0, 0.84), (50, 0.5, 0.8), (100, 0.5, 0.84), (100, 0.8, 0.8)],
)
def test_intervals_cover_the_true_mean(samples, memory, lowest):
    """90 % intervals of 300 series: nominal without memory, somewhat short with a long one."""
    x = series(samples, 300, memory, seed=3)
    generator, covered = np.random.default_rng(0), 0
    for column, time in zip(x.T, correlation_times(x), strict=True):
        low, high = np.quantile(resample(column[:, None], time, generator).means, (0.05, 0.95))
        covered += low <= 0 <= high
    assert lowest <= covered / 300 <= 0.96


def test_blocks_matter():
    """Resampled one by one, a series with a memory seems far more certain than it is."""
    x = series(100, 1, 0.8, seed=5)
    alone, blocks = (resample(x, time, np.random.default_rng(0)).errors[0] for time in (1.0, 9.0))
    assert blocks > 2 * alone
