"""Which records a rule is fitted to, and what is refused."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from conflictopt.lab.calibration import calibrate, gather
from conflictopt.lab.calibration.calibration_error import CalibrationError
from conflictopt.lab.calibration.candidates import template_of
from conflictopt.lab.problems.halves import problems_of
from conflictopt.lab.runs.records import RecordError
from conflictopt.selection.plan_template import PlanTemplate

SIZES = {"persistent": 3, "magnitude": 2}


@pytest.fixture
def records(records_of):
    return records_of({"ntk": 0.5, "grad_norm": 0.8}, SIZES, seeds=2)


def test_numbers_are_paired_by_problem_and_seed(records):
    found = gather(records)
    assert found.labels == ("none", "grad_norm", "ntk")
    assert found.templates == tuple(map(template_of, found.labels))
    assert found.problems == tuple(sorted(found.problems))
    error = {(r["problem"], r["method"], r["seed"]): r["error"] for r in records}
    for m, label in enumerate(found.labels):
        for u, (p, seed) in enumerate(zip(found.of_problem, found.seeds, strict=True)):
            name = found.problems[p]
            expected = math.log(error[name, label, seed] / error[name, "none", seed])
            assert found.logs[m, u] == pytest.approx(expected)
    assert (found.logs[0] == 0).all()
    np.testing.assert_allclose(found.means, found.logs.reshape(3, 5, 2).mean(axis=2), atol=1e-12)
    assert found.profiles[0].names == ("pde", "bc")
    assert found.source == ("30 records of 5 problems and 2 seeds, budget 'cpu', conflictopt 0.1.0")


def test_a_failure_counts_as_the_report_counts_it(records, broken):
    plain = next(r for r in records if (r["problem"], r["method"]) == ("magnitude_00", "none"))
    changed = [
        broken(r["problem"], r["method"], r["seed"])
        if (r["problem"], r["method"]) == ("magnitude_00", "ntk")
        else r
        for r in records
    ]
    found = gather(changed)
    m, p = found.labels.index("ntk"), found.problems.index("magnitude_00")
    counted = max(1.0, 10 * plain["error"]) / plain["error"]
    assert found.logs[m, found.runs(p)[0]] == pytest.approx(math.log(counted))
    assert np.argwhere(found.broken).tolist() == [[m, p]]


@pytest.mark.parametrize(
    ("label", "template"),
    [
        ("none", PlanTemplate("none")),
        ("relobralo", PlanTemplate("reweighting", "relobralo")),
        ("adapters+ntk", PlanTemplate("adapters + reweighting", "ntk")),
        ("adapters:rank=4+ntk", PlanTemplate("adapters + reweighting", "ntk")),
        (
            "adapters:rank=2:attach=500+ntk",
            PlanTemplate("adapters + reweighting", "ntk", {"rank": 2}),
        ),
        ("ntk+after:steps=500", PlanTemplate("reweighting", "ntk")),
        ("pcgrad", PlanTemplate("surgery", surgery="pcgrad")),
        ("ntk+pcgrad+after", PlanTemplate("reweighting + surgery", "ntk", surgery="pcgrad")),
        ("adapters+pcgrad", PlanTemplate("adapters + surgery", surgery="pcgrad")),
        (
            "adapters:rank=2+ntk+pcgrad",
            PlanTemplate("adapters + reweighting + surgery", "ntk", {"rank": 2}, "pcgrad"),
        ),
        (
            "adapters:rank=2:attach=500+ntk+after:steps=500",
            PlanTemplate("adapters + reweighting", "ntk", {"rank": 2}),
        ),
    ],
)
def test_what_a_plan_can_carry_out(label, template):
    assert template_of(label) == template


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("auto", "what a diagnosis chose"),
        ("wide+ntk", "wider network"),
        ("wide", "wider network"),
        ("ntk+dwa+pcgrad", "one reweighting and one surgery"),
        ("rba", "weights points"),
        ("m_config", "in mid-run"),
        ("graddrop+adapters", "cannot be read"),
        ("ntk+pcgrad:blocks=global", "defaults"),
        ("adapters", "adapters alone"),
        ("grad_norm:cap=10.0", "defaults"),
        ("gone", "cannot be read"),
    ],
)
def test_what_no_plan_can_carry_out_is_left_out_and_said(label, why, records_of):
    assert why in template_of(label)
    found = gather(records_of({"ntk": 0.5, label: 0.1}, SIZES))
    assert found.labels == ("none", "ntk")
    assert why in found.left_out[label]


def test_what_begins_after_the_profile_stands_for_the_plan(records_of):
    late = "ntk+after:steps=500"
    found = gather(records_of({"ntk": 0.9, late: 0.5, "relobralo": 0.7}, SIZES))
    assert found.labels == ("none", late, "relobralo")
    assert "same plan" in found.left_out["ntk"]
    assert found.notes == (
        "relobralo: from the first step on, where a plan begins at the end of the profile (as "
        "METHOD+after:steps=N does).",
    )
    records = records_of({late: 0.9, "ntk+after:steps=600": 0.5}, SIZES)
    with pytest.raises(CalibrationError, match="one method for each plan, found"):
        gather(records)
    assert gather(records, methods=[late]).notes == ()


def test_methods_can_be_chosen(records):
    found = gather(records, methods=["none", "ntk"])
    assert found.labels == ("none", "ntk")
    assert found.left_out == {"grad_norm": "not asked for"}
    with pytest.raises(CalibrationError, match="expected runs of relobralo"):
        gather(records, methods=["relobralo"])


def test_what_was_run_on_some_problems_only_is_left_out_unless_asked_for(records):
    some = [r for r in records if r["method"] != "ntk" or r["problem"] == "persistent_00"]
    found = gather(some)
    assert found.labels == ("none", "grad_norm")
    assert found.left_out == {"ntk": "no run on 4 of 5 problems, such as magnitude_00"}
    with pytest.raises(CalibrationError, match="found 8 missing: ntk on magnitude_00, seed 0"):
        gather(some, methods=["none", "ntk"])


def test_a_seed_without_a_run_is_no_reason_to_leave_out(records):
    cell = ("persistent_00", "ntk", 1)
    some = [r for r in records if (r["problem"], r["method"], r["seed"]) != cell]
    with pytest.raises(CalibrationError, match="found 1 missing: ntk on persistent_00, seed 1"):
        gather(some)


def test_a_half_can_be_chosen(records):
    names = [*problems_of("calibration")[:5], *problems_of("reporting")[:2]]
    moved = []
    for i, old in enumerate(sorted({r["problem"] for r in records})):
        moved += [{**r, "problem": names[i]} for r in records if r["problem"] == old]
        if i < 2:
            moved += [{**r, "problem": names[5 + i]} for r in records if r["problem"] == old]
    assert len(gather(moved).problems) == 7
    found = gather(moved, half="calibration")
    assert set(found.problems) == set(names[:5])
    assert found.notes[0] == "2 problems are not in the calibration half."
    with pytest.raises(CalibrationError, match="at least 4 problems, found 2"):
        gather(moved, half="reporting")
    with pytest.raises(CalibrationError, match="found none among"):
        gather(records, half="reporting")


def test_runs_without_a_plain_profile_are_left_out_and_said(records):
    for r in records:
        if (r["problem"], r["method"], r["seed"]) == ("magnitude_01", "none", 1):
            r["profile"] = None
    found = gather(records)
    assert len(found.of_problem) == 9
    assert found.notes[0] == "3 runs have no plain run with a profile beside them."


def test_refusals(records):
    def without(test):
        return [r for r in records if not test(r)]

    with pytest.raises(CalibrationError, match="expected runs of 'none'"):
        gather(without(lambda r: r["method"] == "none"))
    with pytest.raises(CalibrationError, match="at least 4 problems, found 3"):
        gather(without(lambda r: r["problem"].startswith("magnitude")))
    with pytest.raises(CalibrationError, match="a method beside 'none'"):
        gather(without(lambda r: r["method"] != "none"))
    with pytest.raises(CalibrationError, match="with the raw profile, found 10 without"):
        gather([{**r, "profile": None} for r in records])
    with pytest.raises(RecordError, match="expected records"):
        gather([])


def test_profiles_that_cannot_be_read_are_refused(records):
    changed = copy.deepcopy(records)
    del next(r for r in changed if r["method"] == "none")["profile"]["steps"]
    with pytest.raises(CalibrationError, match=r"persistent_00, none, seed 0 .* readable profile"):
        gather(changed)


def test_mixed_versions_are_refused_unless_told(records):
    records[0]["versions"] = {**records[0]["versions"], "conflictopt": "0.0.9"}
    with pytest.raises(RecordError, match="versions"):
        gather(records)
    found = gather(records, mixed=["2 versions"])
    assert any("versions" in note for note in found.notes)


def test_several_budgets_need_a_choice(records):
    more = [*records, *({**r, "budget": "smoke"} for r in records)]
    with pytest.raises(RecordError, match="budget"):
        gather(more)
    assert gather(more, budget="cpu").source == gather(records).source


def test_profiles_all_too_short_are_refused(records_of):
    short = gather(records_of({"ntk": 0.5}, SIZES, samples=20))
    with pytest.raises(CalibrationError, match="at least 50 samples"):
        calibrate(short)
