"""The command as users run it: in a process of its own."""

import json

import pytest

from conflictopt.selection.rule import Rule

from .conftest import MODEL

TRAIN = "model.train(iterations=30)"
SHORT = ("--profile-steps", 20, "--profile-every", 2)


@pytest.mark.slow
def test_diagnose_sets_the_backend_and_opens_no_window(command, script, monkeypatch, tmp_path):
    monkeypatch.setenv("DDE_BACKEND", "jax")
    monkeypatch.delenv("MPLBACKEND")
    monkeypatch.delenv("DISPLAY", raising=False)
    start = (
        "import matplotlib\nmatplotlib.use('TkAgg')\nimport matplotlib.pyplot as plt\nplt.show()\n"
    )
    done = command("diagnose", script(start + TRAIN), *SHORT, "--", "word")
    assert done.returncode == 0, done.stderr
    assert "Verdict: " in done.stdout
    assert "What to do: " in done.stdout
    assert (tmp_path / "report/profile.png").is_file()


@pytest.mark.slow
def test_run_against_other_methods_compares_all(command, script, tmp_path):
    others = ("--against", "none", "--against", "ntk", "--against", "none")
    done = command("run", script(TRAIN), "--method", "pcgrad", *others, *SHORT)
    assert done.returncode == 0, done.stderr
    comparison = json.loads((tmp_path / "report/comparison.json").read_text())
    assert list(comparison) == ["none", "ntk", "pcgrad"]
    assert [c["method"] for c in comparison.values()] == ["none", "ntk", "pcgrad"]
    assert [c["steps"] for c in comparison.values()] == [30, 30, 30]
    assert len({sum(c["train_loss"].values()) for c in comparison.values()}) == 3
    assert (tmp_path / "report/none/report.json").is_file()
    last = done.stdout.split("Outcome")[-1]
    assert "none" in last
    assert "pcgrad" in last
    assert "With pcgrad the mean squared error ends at" in last
    assert "times that of ntk" in last
    assert (tmp_path / "report/training.png").is_file()
    assert "Picture:" in last


@pytest.mark.slow
def test_both_runs_of_a_comparison_begin_alike(command, unseeded, tmp_path):
    """Also of a script that seeds nothing: with sum the second run is the first, bitwise."""
    done = command("run", unseeded, "--method", "sum", "--against", "none", *SHORT)
    assert done.returncode == 0, done.stderr
    comparison = json.loads((tmp_path / "report/comparison.json").read_text())
    first, second = (outcome["train_loss"] for outcome in comparison.values())
    assert first == second


@pytest.mark.slow
def test_methods_have_options_and_one_is_compared_with_itself_at_its_defaults(
    command, script, tmp_path
):
    chosen = ("--method", "grad_norm", "--option", "form=one_sided", "--against", "grad_norm")
    others = ("--against", "NTK:refresh=10+pcgrad", "--against", "adapters:rank=2+ntk")
    done = command("run", script(TRAIN), *chosen, *others, *SHORT)
    assert done.returncode == 0, done.stderr
    comparison = json.loads((tmp_path / "report/comparison.json").read_text())
    expected = ["grad_norm", "ntk:refresh=10+pcgrad", "adapters:rank=2+ntk"]
    assert list(comparison) == [*expected, "grad_norm:form=one_sided"]
    adapted = [c["adapter_parameters"] > 0 for c in comparison.values()]
    assert adapted == [False, False, True, False]


@pytest.mark.slow
def test_every_model_is_compared(command, script, tmp_path):
    # as many models as the method is told to train
    path = script(
        TRAIN
        + "\nmodel = build()\n"
        + TRAIN
        + "\nif model.conflictopt.method.fixed.plain:\n    raise SystemExit\n"
        + "model = build()\n"
        + TRAIN
    )
    done = command("run", path, "--method", "pcgrad", "--against", "none", *SHORT)
    assert done.returncode == 0, done.stderr
    for name in ("", "model-2"):
        comparison = json.loads((tmp_path / "report" / name / "comparison.json").read_text())
        assert [c["method"] for c in comparison.values()] == ["none", "pcgrad"]
    assert not (tmp_path / "report/model-3/comparison.json").exists()
    assert "with --method none the script trained 2 models only." in done.stdout


@pytest.mark.slow
def test_a_failing_script_is_one_message_and_exit_code_2(command, script):
    path = script("raise ValueError('of the script')")
    done = command("run", path)
    assert done.returncode == 2
    assert "ValueError: of the script" in done.stderr
    files = [line for line in done.stderr.splitlines() if line.strip().startswith("File ")]
    assert len(files) == 1
    assert str(path) in files[0]


ENDS = {
    "at once": "import os\nos._exit(0)",
    "by a name of its own": "from os import _exit\n_exit(0)",
    "in another directory": "import os\nos.mkdir('else')\nos.chdir('else')",
    "with a closed output": "import sys\nsys.stdout.close()",
    "with its output elsewhere": "import sys\nsys.stdout = open('log.txt', 'w')",
    "with its descriptor elsewhere": "import os\nos.dup2(os.open('log.txt', 65), 1)",
    "with a closed descriptor": "import os\nos.close(1)",
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_a_script_that_leaves_in_its_own_way_has_a_report(command, script, tmp_path, end):
    done = command("run", script(f"{TRAIN}\n{ENDS[end]}"), "--method", "pcgrad", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "report/report.html" in done.stdout
    assert (tmp_path / "report/report.html").exists()


@pytest.mark.slow
def test_a_status_given_at_once_is_the_scripts(command, script, tmp_path):
    done = command("run", script(f"{TRAIN}\nimport os\nos._exit(3)"), "--method", "pcgrad", *SHORT)
    assert done.returncode == 2
    assert "exited with status 3" in done.stderr
    assert (tmp_path / "report/report.html").exists()


@pytest.mark.slow
def test_children_of_a_script_leave_as_they_are_used_to(command, script):
    forks = "import os\nif os.fork() == 0:\n    os._exit(7)\nprint('status', os.wait()[1] >> 8)"
    done = command("run", script(f"{TRAIN}\n{forks}"), "--method", "pcgrad", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "status 7" in done.stdout


@pytest.mark.slow
def test_paths_are_those_of_where_the_command_was_given(command, script, tmp_path):
    Rule.default().save(tmp_path / "mine.json")
    moves = "import os\nos.mkdir('else')\nos.chdir('else')\n"
    path = script(TRAIN, start=moves + MODEL)
    done = command("diagnose", path, "--rule", "mine.json", "--out", "there/report", *SHORT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there/report/report.html").exists()
