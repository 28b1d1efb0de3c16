"""``run`` with a method that names an optimizer."""

from __future__ import annotations

import json

import pytest

LM = ("--method", "levenberg_marquardt")


def outcome(tmp_path, name="report"):
    content = json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))
    return content["outcome"]


def test_a_script_is_trained_for_seconds(script, invoke, tmp_path):
    path = script(
        "model.train(iterations=10**6, verbose=0)\nprint(dde.config.real(np).__name__, 'is used')"
    )
    result = invoke("run", path, *LM, "--seconds", 0.5)
    assert result.exit_code == 0, result.output
    assert "float64 is used" in result.output
    assert "trained with levenberg_marquardt from the start" in " ".join(result.output.split())
    found = outcome(tmp_path)
    assert (found["method"], found["steps"] > 2) == ("levenberg_marquardt", True)
    assert any("steps of LevenbergMarquardt in" in line for line in found["log"])


def test_without_seconds_it_has_as_long_as_the_scripts_own_iterations(script, invoke, tmp_path):
    path = script("model.train(iterations=100, verbose=0)")
    result = invoke("run", path, *LM, "--precision", "float32")
    assert result.exit_code == 0, result.output
    found = outcome(tmp_path)
    assert any("100 iterations of adam would take" in line for line in found["log"])


def test_two_calls_of_train_share_the_seconds(script, invoke, tmp_path):
    lines = (
        "model.train(iterations=10, verbose=0)\n"
        "model.compile('L-BFGS')\nmodel.train(verbose=0)\nprint(model.train_state.step, 'steps')"
    )
    result = invoke("run", script(lines), *LM, "--seconds", 0.6)
    assert result.exit_code == 0, result.output
    found = outcome(tmp_path)
    told = [line for line in found["log"] if "steps of LevenbergMarquardt in" in line]
    assert len(told) == 2
    assert "s of 0.3" in told[0]
    assert f"{found['steps']} steps" in result.output


def test_auto_may_take_other_seconds_than_plain_steps(script, invoke, tmp_path):
    path = script("model.train(iterations=700, verbose=0)")
    options = ("--method", "auto:profile_steps=100", "--profile-every", 2, "--seconds", 0.001)
    result = invoke("run", path, *options)
    assert result.exit_code == 0, result.output
    found = outcome(tmp_path)
    assert found["trained_with"][1]["method"] == "LevenbergMarquardt"
    assert len(found["residual_steps"]) == 1  # the profile has had them
    assert any("600 calls have, as was asked for, 0 s" in line for line in found["log"])


@pytest.mark.parametrize("method", ["none", "auto:curvature=False", "ntk+pcgrad"])
def test_seconds_of_another_method_are_refused(script, invoke, method):
    result = invoke("run", script("model.train(iterations=3)"), "--method", method, "--seconds", 5)
    assert result.exit_code == 2
    told = " ".join(result.output.split())
    assert "expected --seconds with a method whose steps cost many plain ones" in told


def test_a_script_that_counts_on_its_own_float_is_told_so(script, invoke):
    lines = "import torch\ntorch.zeros(1, 2) @ torch.zeros(2, dtype=torch.float32)"
    result = invoke("run", script(lines), *LM)
    assert result.exit_code == 2
    assert "--precision float32" in " ".join(result.output.split())


@pytest.mark.slow
def test_compared_with_the_script_as_it_is(command, script, tmp_path):
    path = script("model.train(iterations=20, verbose=0)\nprint(dde.config.real(np).__name__)")
    out = tmp_path / "report"
    result = command("run", path, *LM, "--seconds", 0.3, "--against", "none", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "float32" in result.stdout
    assert "float64" in result.stdout
    assert set(json.loads((out / "comparison.json").read_text())) == {"none", LM[1]}
