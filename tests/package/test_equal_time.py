"""The table of errors at equal time, on a study made by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.equal_time.__main__ import as_json, chosen_study, focus_of
from benchmarks.equal_time.curves import curves
from benchmarks.equal_time.page import page
from benchmarks.equal_time.readings import readings
from benchmarks.equal_time.summary import beside_the_best, losers_first, problem_rows, summarise
from conflictopt.lab.runs.packs import write_pack
from conflictopt.lab.study_report.study import study_of

ROOT = Path(__file__).parents[2]
LM = "levenberg_marquardt:horizon=3"
ONE = pytest.approx(1.0)


def record(problem, method, seed, errors, unit, **changes):
    """``errors``: noted at even parts of the run's time."""
    count, seconds = len(errors) - 1, changes.pop("seconds", unit)
    made = {
        **{"schema": 1, "problem": problem, "family": "forward_k3", "method": method},
        **{"seed": seed, "budget": "cpu", "options": {}, "settings": {"steps": 3000}},
        **{"status": "ok", "error": errors[-1], "cpu_time_s": seconds, "steps": 3000},
        "versions": {"conflictopt": "0.2.0", "torch": "2", "numpy": "2", "python": "3"},
        "digest": {"problem": "0", "source": "0"},
        "curve": {
            "step": list(range(count + 1)),
            "cpu_time_s": [seconds * i / count for i in range(count + 1)],
            "relative_l2": {"u": errors},
        },
    }
    return {**made, **changes}


def timed(problem, seed, errors, unit, ended="time", method=LM, horizon=3.0, **changes):
    kept = {
        **{"plain_run_s": unit, "horizon": horizon, "ended": ended},
        **{"plain_step_s": unit / 3000, "measured_steps_s": [unit / 3000, 1.2 * unit / 3000]},
    }
    seconds = changes.pop("seconds", horizon * unit)
    made = record(problem, method, seed, errors, unit, seconds=seconds, timed=kept, **changes)
    parts = [t / unit for t in made["curve"]["cpu_time_s"]]
    return {**made, "curve": {**made["curve"], "plain_runs": parts}}


@pytest.fixture
def records():
    found = []
    for seed in (0, 1):
        for problem in ("heat_1d", "klein_gordon", "inverse_reaction_noise5"):
            # another clock than beside the timed run: each is read by its own
            found.append(record(problem, "none", seed, [1.0, 0.5, 0.1], unit=8.0))
    found += [
        timed("heat_1d", 0, [1.0, 0.01, 0.001, 1e-4], unit=10.0),
        timed("heat_1d", 1, [1.0, 0.04, 0.001, 1e-4], unit=10.0),
        timed("klein_gordon", 0, [1.0, 0.2, 0.2], unit=10.0, ended="stuck", seconds=20.0),
        timed(
            *("klein_gordon", 1, [1.0, 0.2, None, None], 10.0, "diverged"),
            **{"status": "diverged", "error": None},
        ),
        timed("inverse_reaction_noise5", 0, [1.0, 0.7], 10.0, method="lbfgs", horizon=1.0),
    ]
    return found


@pytest.fixture
def found(records):
    return readings(study_of(records))


def ratios(found, problem, method, seed):
    (own,) = [r for r in found if r.run.cell == (problem, method, seed)]
    return own.ratios


def test_a_run_is_read_at_parts_of_the_time_measured_beside_it(found):
    own = ratios(found, "heat_1d", LM, 0)
    assert own[1.0] == pytest.approx(0.01 / 0.1)
    assert own[0.5] == pytest.approx(0.1 / 0.1)
    assert own[3.0] == pytest.approx(1e-3)


def test_plain_runs_have_no_more_than_their_time(found):
    own = ratios(found, "heat_1d", "none", 0)
    assert own == {0.25: pytest.approx(0.5**0.5 * 10), 0.5: 5.0, 1.0: ONE, 2.0: None, 3.0: None}
    assert ratios(found, "inverse_reaction_noise5", "lbfgs", 0)[2.0] is None


def test_a_run_that_ended_by_itself_keeps_its_error(found):
    assert ratios(found, "klein_gordon", LM, 0)[3.0] == pytest.approx(2.0)


def test_a_run_that_diverged_counts_as_such_from_then_on(found):
    own = ratios(found, "klein_gordon", LM, 1)
    assert own[1.0] == pytest.approx(2.0)
    assert own[2.0] == own[3.0] == pytest.approx(10.0)


def test_seeds_first_then_problems(found):
    rows = problem_rows(found)
    both = summarise(rows, LM, ("heat_1d", "klein_gordon"), 1.0)
    assert both.ratios[1.0] == pytest.approx((0.2 * 2.0) ** 0.5)
    assert both.worst == ("klein_gordon", pytest.approx(2.0))
    assert both.harmed == ("klein_gordon",)
    assert (both.diverged, both.runs) == (1, 4)
    assert losers_first(rows, LM, 1.0)[:2] == ["klein_gordon", "heat_1d"]


def test_beside_the_best_of_the_others(found):
    rows = problem_rows(found)
    ratios = beside_the_best(rows, LM, 1.0)
    assert ratios["heat_1d"] == pytest.approx(0.2)  # over the plain run's 1
    assert ratios["klein_gordon"] == pytest.approx(2.0)
    assert "inverse_reaction_noise5" not in ratios


def test_the_page_has_noisy_problems_apart(found):
    rows = problem_rows(found)
    text = page(found, rows, "none", {"inverse_reaction_noise5"}, 1.0, focus_of(found))
    clean, noisy = text.split("## Noisy inverse problems: 1")
    assert "inverse_reaction_noise5" not in clean
    assert "`lbfgs`" in noisy
    assert "the dearest plain step of a run over its cheapest, median 1.20" in text
    assert json.dumps(as_json(found, rows, {"inverse_reaction_noise5"}, 1.0), allow_nan=False)


def test_from_a_packed_study_alone(records, tmp_path):
    write_pack(tmp_path / "study.jsonl.gz", records)
    command = [sys.executable, "-m", "benchmarks.equal_time", str(tmp_path / "study")]
    command += ["--half", "calibration", "--json", str(tmp_path / "all.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "## Problems without noise: 2" in done.stdout
    assert "## Noisy inverse problems: 1" in done.stdout
    assert json.loads((tmp_path / "all.json").read_text())["at"] == 1.0


def test_several_studies_are_read_as_one_and_methods_may_be_chosen(records, tmp_path):
    plain = [r for r in records if r["method"] == "none"]
    write_pack(tmp_path / "plain.jsonl.gz", plain)
    write_pack(tmp_path / "timed.jsonl.gz", [r for r in records if r["method"] != "none"])
    study = chosen_study([tmp_path / "plain", tmp_path / "timed"], None, None, LM, "none", False)
    assert set(study.methods) == {"none", LM}
    every = chosen_study([tmp_path / "plain", tmp_path / "timed"], None, None, None, "none", False)
    assert set(every.methods) == {"none", LM, "lbfgs"}


def test_the_figure_tells_timed_runs_in_seconds_of_the_plain_run(records):
    # heat_1d: T is 8 s of the plain run's record, 10 s as measured beside the timed runs
    heat, wave = curves(study_of(records), ["heat_1d", "klein_gordon"]).axes
    assert heat.get_title().startswith("heat_1d\n")
    lines = {line.get_label(): line.get_xydata() for line in heat.get_lines()}
    assert lines["Adam"][-1] == pytest.approx([8.0, 0.1])
    assert lines["Levenberg-Marquardt"][1] == pytest.approx([8.0, 0.02])
    assert lines["Levenberg-Marquardt"][-1][0] == pytest.approx(24.0)
    assert len(lines["Adam, then L-BFGS"]) == 0
    assert wave.get_lines()[-1].get_xdata()[0] == 8.0


def test_the_figure_needs_the_plain_runs_of_its_problems(records):
    with pytest.raises(SystemExit, match="expected runs of 'none' on burgers_1d, found none"):
        curves(study_of(records), ["burgers_1d"])


def test_a_method_without_a_look_of_its_own_is_drawn_too(records):
    more = [{**r, "method": f"{LM}+ntk"} for r in records if r["method"] == LM]
    (axes,) = curves(study_of([*records, *more]), ["heat_1d"]).axes
    labels = [line.get_label() for line in axes.get_lines()][:-1]
    assert labels == ["Adam", "Adam, then L-BFGS", "Levenberg-Marquardt", f"{LM}+ntk"]
    assert len({line.get_color() for line in axes.get_lines()}) == 5
