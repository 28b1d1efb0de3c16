"""Errors at equal CPU time, by hand."""

import math

import pytest

from conflictopt.lab.study_report.run import run_of
from conflictopt.lab.study_report.statistics.examples import (
    median_curve,
    shown_methods,
    shown_problems,
)
from conflictopt.lab.study_report.statistics.timing import error_at, timings
from conflictopt.lab.study_report.study import study_of

from .factory import broken, curve, record


def run(error=0.01, cpu=10.0, **changes):
    return run_of(record("p", "ntk", 0, error, cpu_time_s=cpu, **changes))


def test_a_run_that_ended_sooner_has_its_final_error():
    assert error_at(run(cpu=10.0), 10.0) == error_at(run(cpu=10.0), 99.0) == 0.01


def test_interpolation_is_linear_in_the_logarithm():
    # the curve of the factory falls from 1 to 0.01 along a straight line
    assert error_at(run(cpu=10.0, points=3), 2.5) == pytest.approx(0.01**0.25)


def test_points_without_an_error_are_passed_over():
    made = record("p", "ntk", 0, 0.01, points=5)
    made["curve"]["relative_l2"]["u"] = [1.0, None, 0.1, 0.0, 0.01]
    assert error_at(run_of(made), 5.0) == pytest.approx(0.1)
    assert error_at(run_of(made), 2.5) == pytest.approx(math.sqrt(0.1))
    assert error_at(run_of(made), 7.5) == pytest.approx(math.sqrt(0.001))


def test_the_curve_is_the_geometric_mean_over_outputs():
    made = record("p", "ntk", 0, 0.01, outputs=("u", "v"), points=3)
    made["curve"]["relative_l2"] = {"u": [1.0, 0.04, 0.01], "v": [1.0, 0.01, None]}
    errors = run_of(made).curve.errors
    assert errors[:2] == pytest.approx([1, 0.02])
    assert math.isnan(errors[2])


def test_no_curve_no_error():
    assert error_at(run(curve={}), 5.0) is None
    assert error_at(run(curve=None), 5.0) is None
    assert error_at(run_of(broken()), 99.0) is None


def test_comparison_by_hand():
    records = [
        record("p", "none", 0, 0.1, cpu_time_s=10.0),
        record("p", "ntk", 0, 0.01, cpu_time_s=20.0),  # 0.1 after 10 s
        record("q", "none", 0, 0.1, cpu_time_s=10.0),
        record("q", "ntk", 0, 0.025, cpu_time_s=5.0),  # ended sooner
    ]
    (found,) = timings(study_of(records), 0)
    assert found.step_time == pytest.approx(1)  # of 2 and 0.5
    assert found.at_steps.value == pytest.approx(math.sqrt(0.1 * 0.25))
    assert found.at_time.value == pytest.approx(math.sqrt(1 * 0.25))
    assert (found.at_time.pairs, found.left_out, found.machines) == (2, 0, 0)


def test_failures_and_gaps():
    records = [
        record("p", "none", 0, 0.5),
        broken("p", "ntk", 0),
        broken("q", "none", 0),
        record("q", "ntk", 0, 0.5),
        record("r", "none", 0, 0.5, cpu_time_s=10.0),
        record("r", "ntk", 0, 0.5, cpu_time_s=20.0, curve={}),
    ]
    (found,) = timings(study_of(records), 0)
    assert found.at_steps.value == found.at_time.value == pytest.approx(10)
    assert (found.at_time.pairs, found.left_out) == (1, 2)
    assert found.step_time == pytest.approx(2)


def test_pairs_from_different_machines_are_counted():
    other = {"system": "Linux", "processor": "aarch64", "cores": 4}
    records = [record("p"), record("p", "ntk", machine=other)]
    (found,) = timings(study_of(records), 0)
    assert found.machines == 1


def test_without_a_baseline_or_another_method_there_is_nothing():
    assert timings(study_of([record("p", "ntk")]), 0) == ()
    assert timings(study_of([record("p", "none")]), 0) == ()


def test_median_curve_over_common_steps():
    first = run_of(record("p", curve=curve(0.01, points=3)))
    second = run_of(record("p", seed=1, curve=curve(0.0001, points=5)))
    times, errors = median_curve([first, second, run_of(broken("p", seed=2, curve={}))])
    assert times == pytest.approx([0, 5, 10])
    assert errors == pytest.approx([1, (0.1 + 0.01) / 2, (0.01 + 0.0001) / 2])


def test_median_curve_without_curves_is_empty():
    assert [len(a) for a in median_curve([run(curve={})])] == [0, 0]


def test_one_problem_of_a_family_is_shown_the_one_with_the_median_gain():
    gains = {"a": 0.9, "b": 0.1, "c": 0.5}
    records = []
    for problem, gain in gains.items():
        records += [record(problem, "none", 0, 0.1), record(problem, "ntk", 0, 0.1 * gain)]
    records.append(record("z", "none", family="mine", curve={}))
    assert shown_problems(study_of(records)) == ("c",)


def test_baseline_auto_and_the_best_are_always_shown():
    errors = {"none": 0.9, "auto": 0.8, **{f"m{i}": 0.1 + i / 100 for i in range(9)}, "worst": 2.0}
    study = study_of([record("p", m, 0, e) for m, e in errors.items()])
    assert shown_methods(study, "worst") == ("none", "m0", "m1", "m2", "m3", "worst", "auto")
