"""Shared problems, performance profiles and regret, by hand."""

import math

import pytest

from conflictopt.lab.study_report.statistics.performance import performance_of
from conflictopt.lab.study_report.statistics.regret import regrets
from conflictopt.lab.study_report.statistics.shared import best_fixed, shared_of
from conflictopt.lab.study_report.study import study_of

from .factory import broken, record

ERRORS = {
    "p": {"none": 0.4, "ntk": 0.1, "auto": 0.2},
    "q": {"none": 0.1, "ntk": 0.2, "auto": 0.1},
    "r": {"none": 0.2, "ntk": 0.04, "auto": 0.03},
}


def study(errors=ERRORS, extra=()):
    records = [record(p, m, 0, e) for p, row in errors.items() for m, e in row.items()]
    return study_of([*records, *extra])


def test_only_seeds_that_all_methods_have_are_compared():
    extra = [record("p", "none", 1, 9.0), record("s", "none", 0, 0.1), record("s", "ntk", 1, 0.1)]
    made = study(extra=extra)
    found = shared_of(made)
    assert found.problems == ("p", "q", "r")
    assert found.errors["p", "none"] == pytest.approx(0.4)
    assert found.missing == {"none": 0, "ntk": 0, "auto": 1}


def test_best_fixed_method_is_the_lowest_geometric_mean_and_never_auto():
    made = study()
    assert best_fixed(made, shared_of(made)) == "ntk"
    alone = study_of([record("p", "auto")])
    assert best_fixed(alone, shared_of(alone)) is None


def test_performance_factors_and_shares():
    made = study()
    found = performance_of(made, shared_of(made))
    assert found.factors["none"] == pytest.approx((4, 1, 20 / 3))
    assert found.factors["ntk"] == pytest.approx((1, 2, 4 / 3))
    assert found.share("none", 1) == pytest.approx(1 / 3)
    assert found.share("ntk", 1.25) == pytest.approx(1 / 3)
    assert found.share("ntk", 1.5) == pytest.approx(2 / 3)
    assert found.share("auto", 2.5) == 1


def test_a_failed_run_is_within_no_factor_and_is_nobodys_best():
    errors = {"p": {"none": 0.4, "auto": 0.2}, "q": {"none": 0.1, "auto": 0.1}}
    extra = [broken("p", "ntk", 0), record("q", "ntk", 0, 0.1)]
    made = study(errors, extra)
    found = performance_of(made, shared_of(made))
    assert found.factors["ntk"] == (math.inf, 1)
    assert found.share("ntk", 1e9) == 0.5
    assert found.factors["none"] == pytest.approx((2, 1))


def test_no_profile_of_one_method_or_without_shared_problems():
    one = study_of([record("p"), record("q")])
    apart = study_of([record("p", "none"), record("q", "ntk")])
    assert performance_of(one, shared_of(one)) is None
    assert performance_of(apart, shared_of(apart)) is None
    assert regrets(apart, shared_of(apart)) == ()


def test_regret_by_hand():
    made = study()
    found = {r.method: r for r in regrets(made, shared_of(made))}
    auto = found["auto"]
    assert auto.factors == pytest.approx({"p": 2, "q": 1, "r": 0.75})
    assert auto.average == pytest.approx((2 * 1 * 0.75) ** (1 / 3))
    assert auto.median == pytest.approx(1)
    assert auto.worst == (pytest.approx(2), "p")
    assert auto.close == pytest.approx(2 / 3)
    assert auto.worse == 0
    assert found["ntk"].worse == pytest.approx(1 / 3)
    assert found["none"].average == pytest.approx((4 * 1 * 5) ** (1 / 3))
    assert [r.average for r in found.values()] == sorted(r.average for r in found.values())


def test_regret_of_failed_runs_uses_the_counted_error():
    errors = {"p": {"none": 0.4, "auto": 0.2}}
    made = study(errors, [broken("p", "ntk", 0)])
    found = {r.method: r for r in regrets(made, shared_of(made))}
    assert found["ntk"].average == pytest.approx(4 / 0.4)
    assert found["auto"].average == pytest.approx(0.5)


def test_regret_without_a_baseline_says_nothing_of_it():
    made = study_of([record("p", "ntk"), record("p", "auto")])
    assert {r.worse for r in regrets(made, shared_of(made))} == {None}
