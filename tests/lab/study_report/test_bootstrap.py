"""The interval of a mean over problems."""

import math

import numpy as np
import pytest
from scipy import stats

from conflictopt.lab.study_report.statistics.bootstrap import ENOUGH_PROBLEMS, mean_interval


def groups_of(problems, seeds, between, within, seed):
    rng = np.random.default_rng(seed)
    means = rng.normal(0, between, size=(problems, 1))
    return (means + rng.normal(0, within, size=(problems, seeds))).tolist()


def test_too_few_problems_give_none():
    groups = groups_of(ENOUGH_PROBLEMS - 1, 3, 1, 1, 0)
    assert mean_interval(groups, rng_seed=0) is None
    assert mean_interval([*groups, [0.0]], rng_seed=0) is not None


def test_equal_values_give_a_point():
    found = mean_interval([[2.0, 2.0], [2.0]] * 4, rng_seed=0)
    assert (found.low, found.high) == (2.0, 2.0)


def test_one_seed_is_the_percentile_bootstrap_of_scipy_with_widened_percentiles():
    values = [g[0] for g in groups_of(30, 1, 1, 0, 3)]
    found = mean_interval([[v] for v in values], rng_seed=0, resamples=20000)
    wide = stats.norm.cdf(math.sqrt(30 / 29) * stats.t.ppf(0.975, 29))
    level = 2 * wide - 1
    other = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, confidence_level=level, method="percentile", rng=1
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.02)


def test_same_seed_same_interval_other_seed_another_one():
    groups = groups_of(12, 3, 1, 1, 0)
    assert mean_interval(groups, rng_seed=1) == mean_interval(groups, rng_seed=1)
    assert mean_interval(groups, rng_seed=1) != mean_interval(groups, rng_seed=2)


def test_problems_count_the_same_however_many_seeds_they_have():
    few = [[0.0]] * 5 + [[1.0]] * 5
    many = [[0.0] * 9] * 5 + [[1.0]] * 5
    ends = [mean_interval(g, rng_seed=0) for g in (few, many)]
    assert all(e.low + e.high == pytest.approx(1, abs=0.15) for e in ends)


def test_unequal_numbers_of_seeds_never_draw_the_padding():
    found = mean_interval([[5.0], [5.0, 5.0, 5.0], [5.0, 5.0]] * 3, rng_seed=0)
    assert (found.low, found.high) == (5.0, 5.0)


@pytest.mark.parametrize(
    ("problems", "seeds", "between", "within"), [(6, 3, 1.0, 0.3), (20, 3, 1.0, 1.0), (20, 1, 1, 0)]
)
def test_covers_the_true_mean_as_often_as_it_says(problems, seeds, between, within):
    trials = 400
    hits = 0
    for trial in range(trials):
        found = mean_interval(
            groups_of(problems, seeds, between, within, trial), rng_seed=trial, resamples=999
        )
        hits += found.low <= 0 <= found.high
    # binomial noise of 400 trials at 95% is 1.1% (one standard deviation)
    assert 0.915 <= hits / trials <= 0.995


def test_chunks_of_large_studies_have_all_resamples(monkeypatch):
    from conflictopt.lab.study_report.statistics import bootstrap

    groups = groups_of(10, 2, 1, 1, 0)
    monkeypatch.setattr(bootstrap, "_CHUNK", 500)
    found = mean_interval(groups, rng_seed=0)
    monkeypatch.undo()
    whole = mean_interval(groups, rng_seed=0)
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high), abs=0.1)
