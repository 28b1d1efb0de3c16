"""``run --budget report.json``: steps on residuals as another run took them."""

import json

import pytest

TRAIN = "model.train(iterations=700)"
SHORT = ("--profile-steps", 100, "--profile-every", 2, "--script-seed", 1)


def report_of(steps, method="auto", models=1):
    made = {"residual_steps": steps, "method": method}
    return json.dumps({"models": models, "outcome": made})


def outcome(folder):
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report["outcome"]


def test_a_run_repeats_another_bitwise(script, invoke, tmp_path):
    path, first, again = script(TRAIN), tmp_path / "first", tmp_path / "again"
    assert invoke("run", path, *SHORT, "--out", first).exit_code == 0
    steps = outcome(first)["residual_steps"]
    assert steps
    budget = ("--budget", first / "report.json")
    assert invoke("run", path, *SHORT, *budget, "--out", again).exit_code == 0
    for key in ("residual_steps", "train_loss", "trained_with", "metrics", "best"):
        assert outcome(again)[key] == outcome(first)[key]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "expected a report at"),
        ("{", "found something else"),
        ('{"outcome": {}}', "found something else"),
        (report_of([], "ntk"), "found one of 1 with 'ntk'"),
        (report_of([1], models=2), "found one of 2 with 'auto'"),
        (report_of([2, 1]), "numbers of calls, from 1, in order"),
        (report_of("now"), "numbers of calls, from 1, in order"),
    ],
)
def test_something_else_is_refused(script, invoke, tmp_path, content, told):
    report = tmp_path / "other.json"
    if content is not None:
        report.write_text(content, encoding="utf-8")
    done = invoke("run", script(TRAIN), *SHORT, "--budget", report)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())


def test_other_methods_have_none(script, invoke, tmp_path):
    done = invoke("run", script(TRAIN), "--method", "ntk", "--budget", tmp_path / "report.json")
    assert done.exit_code == 2
    assert "expected --budget with auto, found it with 'ntk'" in " ".join(done.stderr.split())
