"""The evidence: its measures on small studies made by hand, and that the documents are fresh."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.evidence import claims, goals, grid, tables
from benchmarks.evidence.grid import METHODS, inverse_problems, stages
from conflictopt.lab.study_report.statistics.regimes import GroupRegimes
from conflictopt.lab.study_report.study import study_of

ROOT = Path(__file__).parents[2]
RECORD = {
    "schema": 1,
    "family": "forward_k3",
    "budget": "cpu",
    "status": "ok",
    "settings": {"steps": 3000},
    "versions": {"conflictopt": "0"},
    "digest": {},
}


def study(errors, methods=("none", "ntk", "pcgrad", grid.AUTO)):
    """``errors``: per problem one tuple of errors per method, over seeds."""
    records = [
        {**RECORD, "problem": p, "method": m, "seed": s, "error": e, "options": {}}
        | ({"status": "diverged", "error": None} if e is None else {})
        for p, rows in errors.items()
        for m, row in zip(methods, rows, strict=True)
        for s, e in enumerate(row)
    ]
    return study_of(records)


HALF = {
    "a": ((1.0, 1.0), (0.5, 0.5), (0.8, 0.8), (0.4, 0.4)),
    "b": ((1.0, 1.0), (2.0, 2.0), (0.5, 0.5), (1.2, 1.2)),
}


def test_standing_measures_ratio_closeness_and_losses():
    found = goals.standing(study(HALF), grid.AUTO)
    assert found.to_plain.value == pytest.approx(math.sqrt(0.4 * 1.2))
    assert (found.close.count, found.close.total) == (1, 2)
    assert found.worse == ("b",)


def test_a_failed_run_counts_as_worse():
    rows = {"a": (*HALF["a"][:3], (None, 0.4)), "b": HALF["b"]}
    assert goals.standing(study(rows), grid.AUTO).worse == ("a", "b")


def test_problems_that_plain_training_does_not_learn_are_told_apart():
    rows = {"a": ((0.4, 0.4), (0.1, 0.1)), "b": ((0.4, 0.9), (0.1, 0.1))}
    assert goals.learned(study(rows, ("none", "ntk"))) == {"a"}


def test_hindsight_is_the_lowest_fixed_error():
    assert goals.hindsight(study(HALF)) == pytest.approx(0.5)


def test_foresight_chooses_on_other_seeds():
    rows = {"a": ((1.0, 1.0), (0.1, 2.0), (0.5, 0.5), (1.0, 1.0))}
    # seed 0 is judged with the best of seed 1, pcgrad; seed 1 with the best of seed 0, ntk
    assert goals.foresight(study({"a": tuple(row[:1] for row in rows["a"])})) is None
    ratio, near = goals.foresight(study(rows))
    assert ratio == pytest.approx(math.sqrt(0.5 * 2.0))
    assert near.count == 0


def test_the_interval_of_a_share_is_wilsons():
    low, high = goals.Share(8, 10).interval
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-3)


def test_aims_say_reached_or_not():
    # of two problems no share is known well enough
    noise = [""] * 4 + [", within the noise"] * 2 + [""]
    _, text = tables.aims(study(HALF), study(HALF))
    said = [line.split("|")[-2].strip() for line in text.splitlines()[2:]]
    assert said == [f"not reached{more}" for more in noise]
    good = {p: (*rows[:3], (0.1, 0.1)) for p, rows in HALF.items()}
    _, text = tables.aims(study(good), study(good))
    said = [line.split("|")[-2].strip() for line in text.splitlines()[2:]]
    assert said == [f"reached{more}" for more in noise]


def test_aims_are_told_without_larger_networks_too():
    rows = dict.fromkeys("abc", ((1.0, 1.0), (0.5, 0.5), (0.4, 0.4), (0.1, 0.1)))
    found = study(rows, ("none", "ntk", grid.AUTO, grid.WIDE))
    _, text = tables.aims(found, found)
    said = [line.split("|")[1:5:2] for line in text.splitlines()[2:]]
    said = [(what.strip(), measured.strip()[:4]) for what, measured in said]
    assert said[1] == (
        "error / that of the method best on this half, equal-size trunk, `ntk`",
        "4.00",
    )
    assert said[2] == ("error / that of the best of those that add no parameters, `ntk`", "0.80")
    assert (said[4][1], said[5][1]) == ("0 % ", "100 ")


def test_the_short_profile_is_compared_on_its_own_seeds():
    rows = dict.fromkeys(
        ("burgers_1d", "kovasznay_re20", "heat_1d", "hjb_10d"),
        ((1.0, 1.0), (0.8, 9.0), (0.4, None)),
    )
    found = study(rows, ("none", grid.AUTO, grid.SHORT))
    first = [run for run in found.runs if run.method != grid.SHORT or run.seed == 0]
    _, text = tables.short_profile(replace(found, runs=tuple(first)))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    assert [row[0] for row in cells] == ["calibration", "calibration", "reporting", "reporting"]
    assert [row[3] for row in cells] == ["0.80", "0.40"] * 2
    assert [row[5] for row in cells] == ["0"] * 4


@pytest.mark.parametrize(
    ("ratio", "better", "verdict"),
    [
        (0.5, True, "reproduced"),
        (0.5, False, "not reproduced"),
        (2.0, True, "not reproduced"),
        (2.0, False, "reproduced"),
        (1.0, True, "undecided"),
    ],
)
def test_a_claim_is_decided_by_its_interval(ratio, better, verdict):
    rows = {
        f"p{i}": ((1.0, 1.0), (ratio * w, ratio / w)) for i, w in enumerate((1.0, 1.1, 0.9) * 3)
    }
    found = goals.against(study(rows, ("none", "ntk")), "ntk", "none")
    assert claims.ClaimComparison("here", "ntk", "none", found, better).verdict == verdict


def test_a_comparison_may_have_a_margin_or_decide_nothing():
    rows = {f"p{i}": ((1.0, 1.0), (1.04 * w, 1.04 / w)) for i, w in enumerate((1.0, 1.01) * 4)}
    found = goals.against(study(rows, ("none", "ntk")), "ntk", "none")
    told = {
        (better, margin): claims.ClaimComparison(
            "here", "ntk", "none", found, better, margin
        ).verdict
        for better, margin in ((True, 1.0), (True, 1.1), (None, 1.0))
    }
    assert told == {(True, 1.0): "not reproduced", (True, 1.1): "reproduced", (None, 1.0): "-"}


def test_few_problems_decide_nothing():
    found = goals.against(study(HALF), "ntk", "none")
    assert claims.ClaimComparison("here", "ntk", "none", found).verdict == "undecided"
    assert claims.ClaimComparison("here", "ntk", "none", None).verdict == "without runs"


PROFILES = {"inverse_a": "magnitude", "inverse_b": "persistent", "inverse_c": "magnitude"}


def profiled(problem, method, seed, too_close):
    record = {**RECORD, "family": "inverse_k3", "problem": problem, "method": method, "seed": seed}
    record |= {"error": 1.0, "options": {}, "diagnosis": {"regime": PROFILES[problem]}}
    return record | {"decisions": [{"too_close": too_close}] if method == grid.AUTO else []}


def test_regimes_are_told_with_those_too_close_to_call():
    close = {"inverse_a": (True, True, False), "inverse_b": (True, False, False)}
    found = study_of(
        [
            profiled(problem, method, seed, close.get(problem, (False,) * 3)[seed])
            for problem in PROFILES
            for method in ("none", grid.AUTO)
            for seed in range(3)
        ]
    )
    assert claims.too_close(found) == {"inverse_a"}
    row = claims.regimes(found)[1].splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        *("Inverse, K=3", "magnitude", "1", "2", "0", "0", "1", "100 %", "reproduced"),
    ]


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"persistent": 2, "magnitude": 1}, "reproduced"),
        ({"persistent": 2, "magnitude": 2}, "undecided"),
        ({"persistent": 1, "magnitude": 2}, "not reproduced"),
    ],
)
def test_a_regime_is_reproduced_if_it_leads(counts, verdict):
    group = GroupRegimes("g", counts, None, "persistent")
    assert claims.verdict_of(group) == verdict
    assert claims.verdict_of(replace(group, stated=None)) == "-"


def test_remedies_tell_clear_wins_from_others():
    rows = {
        "a": ((1.0,), (0.5,), (0.8,)),
        "b": ((1.0,), (0.5,), (0.6,)),
        "c": ((1.0,), (2.0,), (0.9,)),
    }
    text = claims.remedies(study(rows, ("none", "ntk", "pcgrad")))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    assert cells == [["`ntk`", "2", "1"], ["`pcgrad`", "1", "0"], ["plain Adam", "0", "0"]]


def test_the_grid_has_the_methods_and_problems_of_the_study():
    main, blocks = stages()["methods"], stages()["blocks"]
    assert len(main.problems) == 85
    assert main.methods == METHODS
    assert len(main.methods) == 9
    assert blocks.problems == inverse_problems()
    assert len(main.seeds) >= 3


@pytest.mark.slow
def test_documents_are_those_of_the_records():
    command = [sys.executable, "-m", "benchmarks.evidence", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
