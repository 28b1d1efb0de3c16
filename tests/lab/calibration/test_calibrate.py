"""Calibration: it finds a rule that is there, finds none in noise, and refuses what fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conflictopt import Thresholds, diagnose, select
from conflictopt.lab.calibration import calibrate, gather
from conflictopt.lab.calibration.grid import VARIED, grid
from conflictopt.selection.rule import SITUATIONS, Rule

ALL = {"persistent": 7, "magnitude": 8, "benign": 6}


def calibrated(evidence):
    """At the default thresholds: trying others is slow, and has tests of its own."""
    return calibrate(evidence, tried=())


def chosen(found):
    return {s.name: s.chosen for s in found.situations}


@pytest.fixture(scope="module")
def two_worlds(records_of):
    """Persistent conflict profits from one method, everything else from another."""
    effects = {
        "relobralo": {"persistent": 0.3, "magnitude": 1.3, "benign": 1.2},
        "grad_norm": {"persistent": 1.2, "magnitude": 0.5, "benign": 0.7},
    }
    return gather(records_of(effects, ALL))


@pytest.fixture(scope="module")
def found(two_worlds):
    return calibrated(two_worlds)


# -- (i) a rule that is there -----------------------------------------------------------------


def test_the_rule_is_found(found):
    assert found.default == "grad_norm"
    assert chosen(found) == {
        "persistent": "relobralo",
        "magnitude": "grad_norm",
        "benign": "grad_norm",
        "too_close": "grad_norm",
    }
    assert {s.name: s.problems for s in found.situations} == {**ALL, "too_close": 0}
    assert "takes its place" in found.situations[0].why


def test_its_worth_is_held_out(found):
    worth = found.worth
    assert worth.rule.value < worth.always.value
    assert worth.rule_to_always.interval.high < 1
    assert worth.oracle.value <= worth.rule.value * (1 + 1e-9)
    assert worth.rule_to_always.value == pytest.approx(worth.rule.value / worth.always.value)
    assert found.verdict.startswith("The rule beats always choosing grad_norm.")


def test_select_follows_the_rule_that_was_saved(found, two_worlds, tmp_path):
    rule = Rule.load(found.rule.save(tmp_path / "rule.json"))
    assert rule == found.rule
    profile = two_worlds.profiles[0]
    plan = select(diagnose(profile, rule.thresholds), rule=rule)
    assert two_worlds.problems[two_worlds.of_problem[0]].split("_")[0] in SITUATIONS
    by_regime = {
        two_worlds.problems[p].split("_")[0]: select(
            diagnose(two_worlds.profiles[u], rule.thresholds), rule=rule
        ).reweighting
        for u, p in enumerate(two_worlds.of_problem)
    }
    assert by_regime == {
        "persistent": "relobralo",
        "magnitude": "grad_norm",
        "benign": "grad_norm",
    }
    assert plan.kind == "reweighting"


def test_every_entry_has_its_numbers(found):
    evidence = found.rule.evidence
    assert "relobralo 0.299 [" in evidence["plans.persistent"]
    assert "7 problems" in evidence["plans.persistent"]
    assert all(evidence[f"thresholds.{name}"] == found.thresholds for name in VARIED)
    assert evidence["thresholds.enough_samples"].startswith("not varied")
    assert "189 records of 21 problems and 3 seeds" in found.rule.about


def test_doing_nothing_is_the_default_until_a_method_is_shown_to_help(records_of):
    effects = {"ntk": {"persistent": 2.5, "magnitude": 0.2, "benign": 1.0}}
    found = calibrated(gather(records_of(effects, ALL)))
    assert found.default == "none"
    assert (chosen(found)["persistent"], chosen(found)["magnitude"]) == ("none", "ntk")
    assert found.rule.plans["persistent"].kind == "none"
    harmless = calibrated(gather(records_of({"ntk": 0.999}, ALL)))
    assert harmless.default == "none"


def test_doing_nothing_can_win_against_a_default(records_of):
    effects = {"ntk": {"persistent": 1.6, "magnitude": 0.2, "benign": 0.2}}
    found = calibrated(gather(records_of(effects, ALL)))
    assert found.default == "ntk"
    assert chosen(found)["persistent"] == "none"


def test_adapters_of_a_design_become_a_plan_with_it(records_of):
    label = "adapters:rank=8:routing=exclusive:attach=1000+ntk"
    effects = {label: {"persistent": 0.2, "magnitude": 1.0, "benign": 1.0}, "ntk": 0.5}
    found = calibrated(gather(records_of(effects, ALL)))
    template = found.rule.plans["persistent"]
    assert (template.kind, template.reweighting) == ("adapters + reweighting", "ntk")
    assert template.design == {"rank": 8, "routing": "exclusive"}


# -- (ii) noise -------------------------------------------------------------------------------


@pytest.mark.parametrize("rng_seed", range(6))
def test_noise_gives_the_default_everywhere(records_of, rng_seed):
    effects = {"ntk": 0.9, "grad_norm": 0.9, "relobralo": 0.9}
    found = calibrated(gather(records_of(effects, ALL, seeds=2, noise=0.5, rng_seed=rng_seed)))
    assert set(chosen(found).values()) == {found.default}
    assert found.verdict.startswith(f"No rule is shown to beat always choosing {found.default}")
    assert found.worth.rule_to_always.value == pytest.approx(1.0, abs=0.1)


def test_few_problems_give_the_default(records_of):
    """A method that is much better in a regime of three problems: no test, no departure."""
    effects = {"ntk": {"persistent": 0.1, "magnitude": 1.5, "benign": 1.5}, "relobralo": 0.6}
    found = calibrated(gather(records_of(effects, {"persistent": 3, "magnitude": 6, "benign": 4})))
    assert chosen(found)["persistent"] == found.default == "relobralo"
    assert "on 3 problems of the 5 that a test needs" in found.situations[0].why


# -- (iii) failures ---------------------------------------------------------------------------


def test_a_method_that_diverges_on_a_problem_is_not_chosen(records_of, broken):
    effects = {"relobralo": 0.1, "ntk": 0.6}
    records = [
        broken(r["problem"], r["method"], r["seed"])
        if (r["problem"], r["method"]) == ("persistent_03", "relobralo")
        else r
        for r in records_of(effects, ALL)
    ]
    found = calibrated(gather(records))
    assert found.default == "ntk"
    assert chosen(found)["persistent"] == "ntk"
    assert found.situations[0].broken == ("relobralo",)
    # where it never fails, it may take the default's place
    assert chosen(found)["magnitude"] == "relobralo"


def test_one_failed_seed_of_three_counts_but_does_not_exclude(records_of, broken):
    effects = {"relobralo": 0.1, "ntk": 0.6}
    records = [
        broken(r["problem"], r["method"], r["seed"])
        if (r["problem"], r["method"], r["seed"]) == ("persistent_03", "relobralo", 1)
        else r
        for r in records_of(effects, ALL)
    ]
    evidence = gather(records)
    assert not evidence.broken.any()
    found = calibrated(evidence)
    assert found.default == "relobralo"
    worse = found.situations[0].ratios["relobralo"].value
    assert worse > found.situations[1].ratios["relobralo"].value * 1.3


# -- thresholds -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shifted(records_of):
    """Norm ratios of 5 profit as those of 50 do, and those of 1.5 suffer."""
    profiles = {"weak": (0.5, 5.0), "strong": (0.5, 50.0), "even": (0.5, 1.5)}
    effects = {"ntk": {"weak": 0.2, "strong": 0.2, "even": 3.0}}
    sizes = {"weak": 7, "strong": 6, "even": 7}
    return gather(records_of(effects, sizes, seeds=1, profiles=profiles))


def test_thresholds_move_where_that_pays(shifted):
    found = calibrate(shifted)
    assert found.rule.thresholds.magnitude_ratio == pytest.approx(10 / 3)
    assert found.thresholds.startswith("fitted: ")
    # the gain is that of choosing, on problems that had no say in the choice
    at_base = calibrate(shifted, tried=())
    assert found.worth.rule.value < at_base.worth.rule.value
    assert chosen(found)["benign"] == "none"
    assert chosen(found)["magnitude"] == "ntk"


def test_thresholds_begin_from_those_of_a_rule(shifted):
    base = replace(Rule.default(), thresholds=Thresholds(magnitude_ratio=3.0))
    found = calibrate(shifted, base)
    assert found.rule.thresholds == base.thresholds
    assert found.thresholds.startswith("kept: ")


def test_other_thresholds_can_be_tried(shifted):
    found = calibrate(shifted, tried=[Thresholds(magnitude_ratio=4.0)])
    assert found.rule.thresholds == Thresholds(magnitude_ratio=4.0)
    assert "the 2 settings tried" in found.thresholds
    assert calibrate(shifted, tried=()).thresholds == "kept: no others were tried."


def test_noise_keeps_the_thresholds(records_of):
    effects = {"ntk": 0.9, "grad_norm": 0.9}
    found = calibrate(gather(records_of(effects, ALL, seeds=1, noise=0.5)))
    assert found.rule.thresholds == Thresholds()
    assert set(chosen(found).values()) == {found.default}


def test_the_grid_begins_with_its_base_and_stays_in_range():
    for base in (Thresholds(), Thresholds(persistent_fraction=1.0, persistent_cosine=-1.0)):
        tried = grid(base)
        assert tried[0] == base
        assert len(set(tried)) == len(tried) <= 27
    assert len(grid(Thresholds())) == 27
    assert {t.enough_samples for t in grid(Thresholds())} == {50}


# -- what runs stand for ----------------------------------------------------------------------


def test_verdicts_too_close_to_call_are_a_situation(two_worlds):
    rng = np.random.default_rng(0)
    profiles = []
    for u, profile in enumerate(two_worlds.profiles):
        name = two_worlds.problems[two_worlds.of_problem[u]]
        if name.startswith("persistent"):
            cosines = np.clip(-0.1 + 0.15 * rng.normal(size=60), -1, 1)
            grams = np.ones((60, 2, 2))
            grams[:, 0, 1] = grams[:, 1, 0] = cosines
            profile = replace(profile, gramians=grams)
        profiles.append(profile)
    found = calibrated(replace(two_worlds, profiles=tuple(profiles)))
    results = {s.name: s for s in found.situations}
    assert results["too_close"].problems >= 5
    assert results["too_close"].chosen == "relobralo"


def test_profiles_too_short_get_no_treatment(two_worlds, found):
    """They count as plain training in the rule's worth, and not at all in any choice."""
    short = [
        replace(p, steps=p.steps[:9], losses=p.losses[:9], gramians=p.gramians[:9])
        if two_worlds.problems[two_worlds.of_problem[u]].startswith("magnitude")
        else p
        for u, p in enumerate(two_worlds.profiles)
    ]
    other = calibrated(replace(two_worlds, profiles=tuple(short)))
    results = {s.name: s for s in other.situations}
    assert results["magnitude"].problems == 0
    assert other.worth.rule.value > found.worth.rule.value
    assert other.worth.always.value == found.worth.always.value
