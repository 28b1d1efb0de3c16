"""Counted errors and ratios against numbers worked out by hand."""

import math

import pytest

from conflictopt.lab.study_report.statistics.bootstrap import mean_interval
from conflictopt.lab.study_report.statistics.pairing import (
    counted_error,
    log_ratios,
    problem_ratios,
)
from conflictopt.lab.study_report.statistics.ratios import all_ratios, method_ratio
from conflictopt.lab.study_report.study import study_of

from .factory import broken, record


def counted(records, *cell):
    study = study_of(records)
    return counted_error(study, study.cells[cell])


@pytest.mark.parametrize(("base", "expected"), [(0.02, 1.0), (0.1, 1.0), (0.3, 3.0)])
def test_a_failed_run_counts_ten_times_the_baseline_but_at_least_one(base, expected):
    records = [record("p", "none", 0, base), broken("p", "ntk", 0, "failed")]
    assert counted(records, "p", "ntk", 0) == pytest.approx(expected)


def test_a_failed_run_counts_one_without_a_finished_baseline():
    missing = [record("p", "none", 1, 0.5), broken("p", "ntk", 0)]
    failed = [broken("p", "none", 0), broken("p", "ntk", 0)]
    assert counted(missing, "p", "ntk", 0) == 1
    assert counted(failed, "p", "ntk", 0) == counted(failed, "p", "none", 0) == 1


def test_status_ok_without_a_finite_error_counts_as_failed():
    records = [record("p", "none", 0, 0.5), record("p", "ntk", 0, None)]
    assert counted(records, "p", "ntk", 0) == 5


def test_a_diverged_run_counts_as_failed_whatever_error_it_has():
    records = [record("p", "none", 0, 0.5), record("p", "ntk", 0, 0.1, status="diverged")]
    assert counted(records, "p", "ntk", 0) == 5


def test_ratios_are_paired_by_seed_and_averaged_over_seeds_first():
    records = [
        *(record("p", "none", s, e) for s, e in ((0, 0.1), (1, 0.2), (2, 0.4))),
        *(record("p", "ntk", s, e) for s, e in ((0, 0.05), (1, 0.4))),
        record("q", "none", 0, 0.1),
        record("q", "ntk", 0, 0.4),
        record("r", "ntk", 0, 0.4),
    ]
    study = study_of(records)
    logs = log_ratios(study, "ntk", "none")
    assert set(logs) == {"p", "q"}
    assert logs["p"] == pytest.approx((math.log(0.5), math.log(2)))
    assert problem_ratios(study, "ntk", "none") == pytest.approx({"p": 1, "q": 4})
    found = method_ratio(study, "ntk", "none", None, 0)
    assert found.ratio.value == pytest.approx(2)  # of 1 and 4
    assert (found.ratio.problems, found.ratio.pairs, found.ratio.interval) == (2, 3, None)


def test_the_interval_is_that_of_the_log_ratios():
    records = []
    for i in range(6):
        records += [record(f"p{i}", "none", 0, 0.1), record(f"p{i}", "ntk", 0, 0.1 * (1 + i))]
    found = method_ratio(study_of(records), "ntk", "none", None, 7).ratio
    logs = mean_interval([[math.log(0.1 * (1 + i) / 0.1)] for i in range(6)], rng_seed=7)
    ends = found.interval
    assert (ends.low, ends.high) == pytest.approx((math.exp(logs.low), math.exp(logs.high)))
    assert ends.low < found.value < ends.high


def test_failures_are_counted_beside_the_ratio():
    records = [
        record("p", "none", 0, 0.1),
        broken("p", "ntk", 0),
        broken("q", "none", 0),
        record("q", "ntk", 0, 0.5),
    ]
    found = method_ratio(study_of(records), "ntk", "none", None, 0)
    assert (found.failed, found.failed_against) == (1, 1)
    assert found.ratio.value == pytest.approx(math.sqrt(10 * 0.5))


def test_every_family_and_all_of_them_have_a_ratio():
    records = [
        record("p", "none"),
        record("p", "ntk"),
        record("q", "none", family="mine"),
        record("q", "pcgrad", family="mine"),
    ]
    found = {(r.method, r.family): r.ratio for r in all_ratios(study_of(records), 0)}
    assert set(found) == {(m, f) for m in ("ntk", "pcgrad") for f in (None, "forward_k3", "mine")}
    assert found["ntk", "mine"] is None
    assert found["ntk", "forward_k3"].value == 1
    assert all_ratios(study_of(records, baseline="config"), 0) == ()
