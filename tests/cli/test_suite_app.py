"""``conflictopt suite``: messages, exit codes, files."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from conflictopt.cli.app import app
from conflictopt.cli.study_progress import _TimeLeft, study_progress
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.tasks import Result, plan_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def invoke():
    """``invoke(*words)``: the command line in this process."""
    return lambda *words: CliRunner().invoke(app, ["suite", *map(str, words)])


@pytest.fixture
def fails(invoke):
    """``fails(*words)``: the message of a command that must fail with exit code 2."""

    def message(*words):
        done = invoke(*words)
        assert done.exit_code == 2, done.output
        assert done.stderr.count("error:") == 1
        return done.stderr.split("error:", 1)[1].strip()

    return message


@pytest.fixture
def faked(monkeypatch, standin, training):
    """``faked(...)``: the stand-in problems and training from here on."""

    def put(**options):
        made = training(**options)
        standin.inject(made, lambda name, module: monkeypatch.setitem(sys.modules, name, module))
        return made

    return put


def run_words(*more, methods="none,ntk", seeds="2", workers=1):
    words = ("--methods", methods, "--seeds", seeds, "--budget", "smoke", "--workers", workers)
    return ("run", *words, *more)


# -- list, show -------------------------------------------------------------------------------


def test_list_names_every_problem(invoke):
    done = invoke("list")
    rows = json.loads(invoke("list", "--json").stdout)
    assert done.exit_code == 0
    assert len(rows) == 85
    for row in rows:
        assert f" {row['id']} " in done.stdout
    assert " inverse_k3 " in done.stdout
    known = {"id", "family", "K", "losses", "inputs", "outputs", "unknowns", "title"}
    assert all(set(row) == known for row in rows)
    (diffusion,) = [r for r in rows if r["id"] == "inverse_diffusion_1d"]
    assert (diffusion["unknowns"], diffusion["K"]) == (["D"], 3)


def test_ids_stay_whole_on_a_narrow_terminal(invoke, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = invoke("list", "--family", "inverse_k3").stdout
    assert " inverse_convection_diffusion_noise1 " in out
    assert "…" not in out


def test_list_by_family(invoke, fails):
    rows = json.loads(invoke("list", "--family", "multiphysics_k4,high_dim", "--json").stdout)
    assert {r["family"] for r in rows} == {"multiphysics_k4", "high_dim"}
    message = fails("list", "--family", "inverse_k33")
    assert message.startswith("no family 'inverse_k33'. Did you mean 'inverse_k3'? Known: forwa")


def test_show(invoke, fails):
    done = invoke("show", "burgers_1d")
    assert done.exit_code == 0
    assert "u_t + u*u_x - nu*u_xx = 0" in done.stdout
    assert fails("show", "burgers_1").startswith("no problem 'burgers_1'. Did you mean 'burgers_1d")
    assert fails("show") == "expected the id of a problem, or --spec FILE, found neither."


def test_what_show_prints_as_json_is_a_file_of_problems(invoke, tmp_path):
    (tmp_path / "one.json").write_text(invoke("show", "heat_1d", "--json").stdout)
    assert invoke("show", "--spec", "one.json").stdout == invoke("show", "heat_1d").stdout
    rows = json.loads(invoke("list", "--spec", "one.json", "--json").stdout)
    assert [r["id"] for r in rows] == ["heat_1d"]
    assert invoke("show", "heat_1d", "--spec", "one.json").exit_code == 0


def test_a_file_that_is_no_specification(fails, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    assert "bad.json" in fails("list", "--spec", "bad.json")
    assert "nowhere.json" in fails("show", "--spec", "nowhere.json")


# -- run --------------------------------------------------------------------------------------


def test_run_says_what_it_will_do_and_what_it_did(invoke, faked, tmp_path):
    training = faked()
    done = invoke(*run_words("heat", "wave"))
    assert done.exit_code == 0, done.output
    first, *_, last = done.stdout.splitlines()
    assert first == (
        "2 problems x 2 methods x 2 seeds = 8 runs, budget smoke: 0 done already, 8 to do "
        "(1 worker)."
    )
    assert "8 runs: 8 ok; 8 of them now, in " in done.stdout
    assert "Records: results/" in done.stdout
    assert last == "Report: conflictopt suite report results"
    assert "8/8 runs  heat, ntk, seed 1: ok, error 0.006" in done.stderr
    assert len(load(tmp_path / "results")) == len(training.started()) == 8


def test_a_second_run_does_nothing_and_a_larger_one_the_rest(invoke, faked):
    training = faked()
    invoke(*run_words("heat"))
    done = invoke(*run_words("heat"))
    assert done.exit_code == 0
    assert "4 done already, 0 to do" in done.stdout
    assert "4 runs: 4 ok; 0 of them now" in done.stdout
    assert "8 done already" not in done.stdout
    done = invoke(*run_words("heat", seeds="0,1,5"))
    assert "4 done already, 2 to do" in done.stdout
    assert {s for _, _, s in training.started()[4:]} == {5}


@pytest.mark.parametrize(
    ("words", "problems"),
    [
        ((), {"heat", "wave", "heat_fast", "poisson_5d"}),
        (("heat",), {"heat"}),
        (("heat*",), {"heat", "heat_fast"}),
        (("forward_k3", "poisson_5d"), {"heat", "wave", "poisson_5d"}),
        (("--families", "forward_k3,high_dim"), {"heat", "wave", "poisson_5d"}),
        (("heat*", "--families", "param_varying"), {"heat_fast"}),
        (("--spec", "mine.json"), {"mine"}),
        (("--spec", "mine.json", "--spec", "other.json"), {"mine", "other"}),
        (("heat", "mine", "--spec", "mine.json"), {"heat", "mine"}),
        (("--families", "own,high_dim", "--spec", "mine.json"), {"mine", "poisson_5d"}),
    ],
)
def test_which_problems(invoke, faked, words, problems):
    training = faked()
    assert invoke(*run_words(*words, methods="none", seeds="1")).exit_code == 0
    assert {p for p, _, _ in training.started()} == problems


@pytest.mark.parametrize(
    ("seeds", "expected"), [("1", [0]), ("3", [0, 1, 2]), ("0,2,5", [0, 2, 5]), ("7,", [7])]
)
def test_which_seeds(invoke, faked, seeds, expected):
    training = faked()
    assert invoke(*run_words("heat", methods="none", seeds=seeds)).exit_code == 0
    assert [s for _, _, s in training.started()] == expected


def test_steps_and_folder_reach_the_runs(invoke, faked, tmp_path):
    faked()
    words = run_words("heat", "--steps", 77, "--out", "a/b", methods="sum,ntk:cap=10+pcgrad")
    assert invoke(*words).exit_code == 0
    records = load(tmp_path / "a/b")
    assert {r["settings"]["steps"] for r in records} == {77}
    assert {r["method"] for r in records} == {"none", "ntk:cap=10.0+pcgrad"}


def test_failures_are_listed_and_tried_again_only_when_asked(invoke, faked):
    faked(fails=(1,))
    done = invoke(*run_words("heat"))
    assert done.exit_code == 1
    line = "heat, ntk, seed 1: failed (ValueError: seed 1 is not to be)"
    assert line in done.stdout
    assert line in done.stderr
    assert "4 runs: 2 ok, 2 failed; 4 of them now" in done.stdout
    assert "Failed runs are done again with --retry-failed." in done.stdout
    faked()
    again = invoke(*run_words("heat"))
    assert (again.exit_code, "0 to do" in again.stdout) == (1, True)
    retried = invoke(*run_words("heat", "--retry-failed"))
    assert (retried.exit_code, "2 done already, 2 to do" in retried.stdout) == (0, True)
    assert "4 runs: 4 ok; 2 of them now" in retried.stdout


def test_records_of_another_kind_are_replaced_only_when_asked(invoke, fails, faked):
    training = faked()
    invoke(*run_words("heat"))
    message = fails(*run_words("heat", "--steps", 11))
    assert message.startswith("4 of 4 runs have a record of another kind in ")
    assert "heat/none.smoke.seed0.json: settings.steps 10 instead of 11" in message
    assert "Replace them with --replace, or choose another folder with --out." in message
    assert len(training.started()) == 4
    assert invoke(*run_words("heat", "--steps", 11, "--replace")).exit_code == 0
    assert len(training.started()) == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("heatt",), "no problem 'heatt'. Did you mean 'heat' or 'heat_fast'? 'conflictopt suite"),
        (("x*",), "no problem 'x*'. 'conflictopt suite list' lists them."),
        (("--families", "own"), "no family 'own'. Known: forward_k3, param_varying, high_dim."),
        (("heat", "--families", "high_dim"), "no problem of heat is of family high_dim."),
        (("--spec", "heat.json", "heat"), "problem 'heat' of 'heat.json' has the id of another"),
        (
            ("--seeds", "three"),
            "expected --seeds as a number of seeds (3) or a list (0,2,5), found",
        ),
        (("--seeds", "-1"), "expected --seeds as a number of seeds"),
        (("--seeds", "0"), "expected at least one seed, each once, found '0'."),
        (("--seeds", "1,1"), "expected at least one seed, each once, found '1,1'."),
        (("--methods", "pcgard"), "unknown method 'pcgard'. Did you mean 'pcgrad'"),
        (("--methods", "none,sum"), "expected every method once, found 'none' and 'sum', which"),
        (("--budget", "huge"), "expected budget smoke, cpu or paper, found 'huge'."),
        (("--scheduler", "tcp://a:1"), "expected --backend dask with --scheduler, which is dask's"),
        (("--scheduler", "tcp://a:1", "--backend", "dask"), "expected --workers or --scheduler"),
    ],
)
def test_bad_input_runs_nothing(fails, faked, tmp_path, words, message):
    training = faked()
    assert fails(*run_words(*words)).startswith(message)
    assert training.started() == []
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("words", [("--workers", 0), ("--backend", "slurm"), ("--steps", 0)])
def test_values_that_options_refuse(invoke, faked, words):
    faked()
    assert invoke(*run_words(*words)).exit_code == 2


def test_methods_must_be_given(invoke):
    done = invoke("run")
    assert done.exit_code == 2
    assert "--methods" in done.stderr


def test_a_folder_that_cannot_be_written(fails, faked, tmp_path):
    faked()
    (tmp_path / "results").write_text("in the way")
    assert "results" in fails(*run_words("heat"))


def test_progress_on_a_terminal(standin, tmp_path):
    tasks = standin.tasks(["wave", "heat"], ["none"], 2)
    planned = plan_study(tasks, tmp_path, identify=standin.identify)
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False)
    with study_progress(screen, planned) as tell:
        tell(Result(tasks[0], "ok", None, 0.5))
        tell(Result(tasks[1], "failed", "ValueError: [no]", None))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.file.getvalue())
    assert "0/4 runs" in shown
    assert "-:--:-- left" in shown
    assert "2/4 runs  1 ok, 1 failed" in shown
    assert "2/4 runs  wave, none, seed 1: failed (ValueError: [no])\n" in shown
    assert "wave, none, seed 0" not in shown


def test_time_left_goes_by_cost():
    task = SimpleNamespace(elapsed=60.0, completed=3.0, total=4.5)
    assert _TimeLeft().render(task).plain == "0:00:30 left"


# -- with the real problems and training ------------------------------------------------------


def test_from_problems_to_a_report(invoke, tmp_path):
    words = ("run", "heat_1d", "--methods", "none,adapters+ntk", "--seeds", 1, "--workers", 1)
    done = invoke(*words, "--budget", "smoke")
    assert done.exit_code == 0, done.output
    assert "2 runs: 2 ok" in done.stdout
    assert "2 done already, 0 to do" in invoke(*words, "--budget", "smoke").stdout
    done = invoke("report", "results")
    assert done.exit_code == 0, done.output
    assert done.stdout == "2 records. Report: results/report/ (report.md, report.html)\n"
    assert "adapters+ntk" in (tmp_path / "results/report/report.md").read_text(encoding="utf-8")
    # the report beside the records is none of them
    assert invoke("report", "results", "--out", "elsewhere").exit_code == 0
    assert (tmp_path / "elsewhere/report.html").exists()


def test_reports_never_mix_kinds_of_records_unasked(invoke, fails, faked, tmp_path):
    faked()
    invoke(*run_words("heat"))
    path = tmp_path / "results/heat/ntk.smoke.seed1.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["versions"]["conflictopt"] = "0.0.9"
    path.write_text(json.dumps(record), encoding="utf-8")
    message = fails("report", "results")
    assert "conflictopt 0.0.9, torch 2.13.0 (1 records)" in message
    assert "conflictopt 0.1.0 to 0.2.0, torch 2.13.0 (3 records)" in message
    assert "--mixed" in message
    assert not (tmp_path / "results/report").exists()
    done = invoke("report", "results", "--mixed")
    assert done.exit_code == 0, done.output
    assert "mixed: 2 versions: schema 1, conflictopt 0.0.9" in done.stdout
    assert "0.0.9" in (tmp_path / "results/report/report.md").read_text(encoding="utf-8")


def test_reports_of_one_budget(invoke, fails, faked):
    faked()
    invoke(*run_words("heat"))
    invoke(*run_words("heat", "--budget", "cpu"))
    assert "found cpu (4 records), smoke (4 records)" in fails("report", "results")
    assert invoke("report", "results", "--budget", "cpu").exit_code == 0
    assert "paper" in fails("report", "results", "--budget", "paper")


def test_a_report_of_nothing(fails, tmp_path):
    message = fails("report", "results")
    assert message.startswith("expected the records of a study, found neither a folder 'results'")
    (tmp_path / "results").mkdir()
    assert fails("report", "results").startswith("expected records in 'results', found none")


def test_a_bad_baseline(fails, faked, invoke):
    faked()
    invoke(*run_words("heat"))
    assert fails("report", "results", "--baseline", "nonee").startswith("unknown method 'nonee'")


# -- the whole command ------------------------------------------------------------------------


def test_a_process_of_its_own(standin, environment, tmp_path):
    words = ("suite", *run_words("heat"))
    line = standin.command(tmp_path / "notes.txt", *words, fails=(1,))
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "4 runs: 2 ok, 2 failed" in done.stdout
    assert "Traceback" not in done.stderr


def test_start_up_stays_light():
    code = "import conflictopt.cli, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"joblib", "distributed", "dask", "deepxde", "matplotlib", "scipy"}
    assert not any(
        m.startswith(("conflictopt.lab.problems", "conflictopt.lab.runs.t")) for m in loaded
    )
