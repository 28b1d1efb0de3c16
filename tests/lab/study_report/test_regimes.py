"""Regimes by problem and group, adapters against width, and where methods lose."""

import pytest

from conflictopt.lab.study_report.statistics.capacity import capacities, capacity_pairs
from conflictopt.lab.study_report.statistics.regimes import group_regimes, problem_regimes
from conflictopt.lab.study_report.statistics.worse import worse_of
from conflictopt.lab.study_report.study import study_of

from .factory import broken, plan, record


def regimes_of(*regimes, **changes):
    return problem_regimes(
        study_of([record("p", seed=s, regime=r, **changes) for s, r in enumerate(regimes)])
    )[0]


def test_majority_and_agreement():
    found = regimes_of("magnitude", "persistent", "magnitude")
    assert (found.regime, found.seeds) == ("magnitude", 3)
    assert found.agreement == pytest.approx(2 / 3)


def test_a_tie_is_split():
    assert regimes_of("magnitude", "persistent").regime == "split"


@pytest.mark.parametrize("diagnosis", [None, {"regime": "benign", "too_short": True}])
def test_profiles_that_decide_nothing_are_undecided(diagnosis):
    found = regimes_of("magnitude", diagnosis=diagnosis, conflict=None)
    assert (found.regime, found.seeds, found.agreement) == ("undecided", 0, None)
    assert (found.norm_ratio, found.worst) == (None, None)


def test_norm_ratio_and_worst_pair_over_seeds():
    records = [record("p", seed=s, norm_ratio=r, cosine=c) for s, r, c in ((0, 4, 0), (1, 9, -0.5))]
    (found,) = problem_regimes(study_of(records))
    assert found.norm_ratio == pytest.approx(6)
    assert (found.worst.first, found.worst.second) == ("pde", "bc")
    assert found.worst.cosine_late == pytest.approx(-0.25)


def test_only_the_baseline_decides():
    records = [record("p", regime="benign"), record("p", "ntk", regime="persistent")]
    assert problem_regimes(study_of(records))[0].regime == "benign"
    assert problem_regimes(study_of(records, baseline="pcgrad")) == ()


def test_groups_beside_the_abstract():
    problems = [
        ("a", "forward_k3", "persistent"),
        ("b", "forward_k3", "magnitude"),
        ("thermoelastic_1d", "multiphysics_k4", "persistent"),
        ("piezo", "multiphysics_k4", "benign"),
        ("c", "multiphysics_k5", "magnitude"),
        ("d", "high_dim", "magnitude"),
        ("e", "mine", "magnitude"),
    ]
    study = study_of([record(p, family=f, regime=r) for p, f, r in problems])
    found = {g.group: g for g in group_regimes(problem_regimes(study))}
    stated = {name: g.stated for name, g in found.items()}
    assert stated == {
        "Forward, K=3": "persistent",
        "Other multi-physics, K=4": None,
        "Thermoelastic, K=4": "persistent",
        "Multi-physics, K=5": "magnitude",
        "High-dimensional": None,
        "mine": None,
    }
    forward = found["Forward, K=3"]
    assert (forward.problems, forward.counts["persistent"], forward.agreement) == (2, 1, None)


def test_pairs_of_adapters_and_width():
    methods = ("adapters:rank=8+ntk", "adapters+none", "wide+ntk", "wide+none", "ntk", "wide+rba")
    assert capacity_pairs(methods) == [
        ("adapters:rank=8+ntk", "wide+ntk"),
        ("adapters+none", "wide+none"),
    ]
    assert capacity_pairs(("adapters+ntk", "ntk")) == []


def test_adapters_against_width_by_hand():
    records = []
    for i in range(6):
        sizes = ({"network": 100, "adapters": 50}, {"network": 160, "adapters": 0})
        for method, error, size in zip(
            ("adapters+ntk", "wide+ntk"), (0.1, 0.2 + i / 100), sizes, strict=True
        ):
            records.append(record(f"p{i}", method, 0, error, parameters=size))
    (found,) = capacities(study_of(records), 0)
    assert found.parameters == pytest.approx(150 / 160)
    assert found.test.p == found.test.p_holm == pytest.approx(2 / 64)
    assert (found.test.lower, found.ratio.ratio.problems) == (6, 6)
    assert 0.4 < found.ratio.ratio.value < 0.5


def test_worse_problems_with_what_auto_chose():
    choices = [plan("magnitude"), plan("magnitude"), plan("persistent")]
    records = []
    for seed, chosen in enumerate(choices):
        records += [
            record("p", "none", seed, 0.1),
            record("p", "ntk", seed, 0.3),
            record("p", "auto", seed, 0.2, plan=chosen),
            record("q", "none", seed, 0.1),
            record("q", "auto", seed, 0.105, plan=chosen),
        ]
    study = study_of(records)
    found = {w.method: w for w in worse_of(study, problem_regimes(study))}
    assert set(found) == {"ntk", "auto"}
    auto = found["auto"]
    assert (auto.problem, auto.failed, auto.regime.regime) == ("p", 0, "magnitude")
    assert auto.ratio == pytest.approx(2)
    first, second = auto.choices
    assert (first.chosen, first.seeds, first.fixed) == ("ntk", 2, pytest.approx(3))
    assert (second.chosen, second.seeds, second.fixed) == ("adapters+ntk", 1, None)
    assert found["ntk"].choices == ()


def test_the_choice_carries_the_options_of_autos_adapters():
    options = {"auto": {"reweighting": "rba", "routing": "shared", "rank": 8}}
    made = record("p", "auto:rank=8", plan=plan("persistent", "rba"), options=options)
    study = study_of([record("p"), made])
    assert study.of("p", "auto:rank=8")[0].choice == "adapters:rank=8+rba"
    nothing = record("p", "auto", plan=plan("benign"))
    assert study_of([nothing]).runs[0].choice == "none"


def test_failed_runs_make_a_problem_worse():
    study = study_of([record("p", "none", 0, 0.5), broken("p", "ntk", 0)])
    (found,) = worse_of(study, problem_regimes(study))
    assert (found.ratio, found.failed) == (pytest.approx(10), 1)
