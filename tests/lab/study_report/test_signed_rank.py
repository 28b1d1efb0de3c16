"""Signed-rank tests and their correction."""

import math

import numpy as np
import pytest
from scipy import stats

from conflictopt.lab.study_report.statistics.signed_rank import (
    ENOUGH_DIFFERENCES,
    holm,
    signed_rank,
    signed_ranks,
)
from conflictopt.lab.study_report.study import study_of

from .factory import record


def test_six_differences_of_one_sign():
    # all 2^6 signs are equally likely, and two of them are as extreme
    assert signed_rank([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 64)
    assert signed_rank([-1, -2, -3, -4, -5, -6]) == pytest.approx(2 / 64)


def test_one_difference_of_the_other_sign():
    # sums of ranks of the other sign at most 1: {}, {1}, and their mirror images
    assert signed_rank([-1, 2, 3, 4, 5, 6]) == pytest.approx(4 / 64)


def test_is_scipys_where_no_difference_is_zero():
    values = np.random.default_rng(0).normal(0.2, 1, 40)
    assert signed_rank(values) == stats.wilcoxon(values).pvalue


def test_zeros_are_left_out():
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, -0.05]
    assert signed_rank(values + [0.0] * 20) == signed_rank(values) == stats.wilcoxon(values).pvalue


@pytest.mark.parametrize("zeros", [0, 30])
def test_too_few_differences_make_no_test(zeros):
    assert signed_rank([0.5] * (ENOUGH_DIFFERENCES - 1) + [0.0] * zeros) is None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_corrected_over_the_methods_that_were_tested():
    factors = {"ntk": 0.5, "pcgrad": 2.0, "config": 1.0}
    records = []
    for i in range(8):
        records.append(record(f"p{i}", "none", 0, 0.1))
        for method, factor in factors.items():
            error = 0.1 * factor ** (1 + i / 10) if factor != 1 else 0.1
            records.append(record(f"p{i}", method, 0, error))
    found = {t.method: t for t in signed_ranks(study_of(records), list(factors), "none")}
    ntk, same = found["ntk"], found["config"]
    assert (ntk.problems, ntk.lower, ntk.higher) == (8, 8, 0)
    assert ntk.p == pytest.approx(2 / 256)
    assert ntk.p_holm == pytest.approx(4 / 256)  # two tests were made
    assert (same.problems, same.lower, same.higher, same.p, same.p_holm) == (8, 0, 0, None, None)
    assert math.isclose(found["pcgrad"].p_holm, 4 / 256)
