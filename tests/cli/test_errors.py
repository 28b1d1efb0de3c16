"""Errors are one clear message on standard error and exit code 2."""

import sys
from pathlib import Path

import deepxde as dde
import matplotlib.pyplot as plt
import pytest

import conflictopt
from conflictopt.integrations.deepxde import script as runner

TRAIN = "model.train(iterations=30)"
SHORT = ("--profile-steps", 20, "--profile-every", 2)
OURS = (str(Path(conflictopt.__file__).parent), str(Path(runner.__file__).parent), "runpy")


@pytest.fixture
def fails(invoke):
    """``fails(*words)``: the message of a command that must fail with exit code 2."""

    def message(*words):
        done = invoke(*words)
        assert done.exit_code == 2, done.output
        assert done.stderr.count("error:") == 1
        assert not [line for line in done.stderr.splitlines() if any(f in line for f in OURS)]
        return done.stderr.split("error:", 1)[1].strip()

    return message


@pytest.fixture(params=["diagnose", "run"])
def verb(request):
    return request.param


def test_no_such_file(fails, verb):
    assert fails(verb, "nowhere.py") == "no script at 'nowhere.py'."


def test_a_folder(fails, verb, tmp_path):
    (tmp_path / "folder").mkdir()
    assert fails(verb, "folder") == "no script at 'folder'."


def test_a_script_without_a_model(fails, verb, script):
    path = script("print('hello')", start="")
    expected = f"'{path}' trained no DeepXDE model, so there is nothing to diagnose."
    assert fails(verb, path) == expected


def test_a_model_that_never_trains(fails, verb, script):
    path = script("model.train(0)")
    message = fails(verb, path)
    assert message.startswith(f"'{path}' built 1 model but trained")
    assert "so there is nothing to diagnose." in message


def test_models_that_never_train(fails, verb, script):
    assert "built 2 models but trained" in fails(verb, script("build()"))


def test_an_unknown_method_is_refused_before_the_script_runs(fails, script, tmp_path):
    path = script(TRAIN, start="open('ran', 'w')\n")
    message = fails("run", path, "--method", "pcgard")
    assert message.startswith("unknown method 'pcgard'. Did you mean 'pcgrad'")
    assert "Known: none, auto, wide, adapters," in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from deepxde.backend import tf", True),
        ("from deepxde.backend import backend_name, tf", True),
        ("import tensorflow as tf", True),
        ("# from deepxde.backend import tf", False),
        ("from deepxde.backend import torch", False),
    ],
)
def test_a_script_for_tensorflow_is_told_so(fails, script, line, told):
    path = script(TRAIN, start=f"if False:\n    pass\n{line}\nraise AttributeError('exp')\n")
    hint = "Line 3 takes TensorFlow from DeepXDE; conflictopt runs scripts with its PyTorch backend"
    assert (hint in fails("run", path)) is told


def test_an_unknown_method_to_compare_with(fails, script, tmp_path):
    path = script(TRAIN, start="open('ran', 'w')\n")
    assert "Did you mean 'pcgrad'" in fails("run", path, "--against", "pcgard")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("method", "option", "message"),
    [
        ("ntk", "momentun=1", "method 'ntk' has no option ['momentun']; its options: momentum"),
        ("ntk", "momentum=2", "expected momentum in [0, 1), found 2"),
        ("ntk", "momentum=high", "momentum"),
        ("ntk", "momentum", "expected KEY=VALUE, found 'momentum'"),
        ("ntk:momentum=0", "momentum=0.5", "option 'momentum' is given twice"),
        ("none", "a=1", "has no option ['a']"),
        ("auto", "a=1", "method 'auto' has no option ['a']; its options: reweighting, routing"),
        ("auto", "reweighting=nkt", "unknown method 'nkt'. Did you mean 'ntk'"),
        ("auto", "reweighting=3", "reweighting"),
        ("auto", "routing=private", "expected routing='shared', 'exclusive' or 'mixed'"),
        ("constant", "weights=(1, 2, 3)", "weights"),
        ("adapters+ntk", "rank=2", "several methods have theirs after their names"),
        ("ntk+pcgrad", "momentum=0", "expected options beside one method alone, found momentum=0"),
    ],
)
def test_bad_options(fails, script, method, option, message):
    assert message in fails("run", script(TRAIN), "--method", method, "--option", option, *SHORT)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("ntk:momentun=0", "method 'ntk' has no option ['momentun']; its options: momentum"),
        ("ntk:momentum=2+pcgrad", "expected momentum in [0, 1), found 2"),
        ("ntk+pcgard", "unknown method 'pcgard'. Did you mean 'pcgrad'"),
        ("GradNorm", "unknown method 'GradNorm'. Did you mean 'grad_norm' or 'gradnorm_chen'?"),
        ("ntk+", "expected NAME or NAME:KEY=VALUE"),
        ("ntk+ntk", "expected every member once, found 'ntk' twice in 'ntk+ntk'"),
        ("auto+ntk", "expected auto alone, found 'auto+ntk'"),
        ("ntk+none", "expected none alone"),
        ("wide+ntk", "found 'wide' in 'wide+ntk', which only studies have: conflictopt suite run"),
        ("ntk+after", "found 'after' in 'ntk+after', which only studies have"),
        ("adapters:attach=9+ntk", "found 'adapters:attach=9' in"),
        ("pcgrad+ntk", "expected reweighting methods, those of points first"),
    ],
)
@pytest.mark.parametrize("option", ["--method", "--against"])
def test_bad_expressions(fails, script, option, method, message):
    assert message in fails("run", script(TRAIN), option, method, *SHORT)


def test_an_option_of_the_script_comes_after_the_separator(invoke, verb, script):
    done = invoke(verb, script(TRAIN), "--iters", 100)
    assert done.exit_code == 2
    said = " ".join(done.stderr.replace("\u2502", " ").split())
    assert "No such option: --iters. If it is the script's own, it comes after --: " in said
    assert f"conflictopt {verb} SCRIPT -- --iters ..." in said


def test_an_option_that_is_misspelt_still_has_its_suggestion(invoke, verb, script):
    assert "--engine" in invoke(verb, script(TRAIN), "--engin", "rows").stderr


OWN_LOOP = """
for _ in range(3):
    model.opt.zero_grad()
    sum(model.outputs_losses_train(*model.data.train_next_batch()[:2], None)[1]).backward()
    model.opt.step()
"""


def test_a_loop_of_the_scripts_own(fails, verb, script):
    message = fails(verb, script(OWN_LOOP))
    assert "calls no model.train()" in message
    assert "opt = conflictopt.MultiLossOptimizer(optimizer, method)" in message


def test_a_loop_with_an_optimizer_of_the_scripts_own(fails, verb, script):
    start = "\nimport torch\nmodel.opt = torch.optim.Adam(model.net.parameters())"
    message = fails(verb, script(start + OWN_LOOP))
    assert "so there is nothing to diagnose. conflictopt's commands and patch()" in message
    assert "opt.step(losses)" in message


def test_a_failing_script_keeps_its_own_traceback_only(fails, verb, script):
    path = script("def inner():\n    return 1 / 0\n\ninner()\n" + TRAIN)
    lines = fails(verb, path).splitlines()
    assert lines[0] == f"'{path}' failed."
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    files = [line for line in lines if line.startswith("  File ")]
    assert len(files) == 2
    assert all(str(path) in line for line in files)
    assert "    inner()" in lines


PDE_THAT_FAILS = """
calls = []
def pde(x, u):
    calls.append(x)
    return u.missing if len(calls) > 5 else u
model.data.pde = pde
"""


def test_a_failure_in_a_training_step_hides_the_steps_between(fails, verb, script):
    path = script(PDE_THAT_FAILS + TRAIN)
    lines = fails(verb, path, *SHORT).splitlines()
    assert lines[-1].startswith("AttributeError")
    assert any("u.missing" in line for line in lines)


def test_a_syntax_error(fails, verb, script):
    path = script("def broken(:", start="")
    message = fails(verb, path)
    assert "SyntaxError" in message
    assert "def broken(:" in message


def test_an_import_that_is_missing(fails, verb, script):
    message = fails(verb, script("import no_such_module_here", start=""))
    assert "ModuleNotFoundError: No module named 'no_such_module_here'" in message


def test_a_script_that_exits_with_a_status(fails, verb, script):
    path = script("import sys\nsys.exit(3)")
    assert fails(verb, path) == f"'{path}' exited with status 3."


def test_a_script_that_exits_with_status_0_is_no_failure(invoke, script):
    path = script(TRAIN + "\nimport sys\nsys.exit(0)")
    assert invoke("run", path, "--method", "none", *SHORT).exit_code == 0


@pytest.mark.parametrize("variable", ["DDEBACKEND", "DDE_BACKEND"])
def test_another_backend(fails, verb, script, variable):
    path = script(TRAIN, name="jax.py")
    path.write_text(f"import os\nos.environ['{variable}'] = 'jax'\n" + path.read_text())
    message = fails(verb, path)
    assert message.startswith(f"'{path}' asks for the backend 'jax'")
    assert "PyTorch backend only" in message


def test_a_loss_that_is_not_finite_is_named(fails, script):
    path = script("model.data.pde = lambda x, u: u * float('nan')\n" + TRAIN)
    assert "'pde' = nan" in fails("run", path, "--method", "pcgrad")


DIVERGES = """
calls = []
def pde(x, u):
    calls.append(x)
    return u * (1e30 if len(calls) > 12 else 1)
model.data.pde = pde
"""


def test_a_run_that_diverges_says_when_and_what_to_do(fails, verb, script):
    message = fails(verb, script(DIVERGES + TRAIN), *SHORT)
    assert message.startswith("expected finite losses, found 'pde' = inf. It happened at step ")
    assert "at step 0" not in message
    assert "Lower the learning rate" in message
    assert "conflictopt run --on-nonfinite skip" in message


def test_a_run_that_skips_is_not_told_to_skip(fails, script):
    path = script(DIVERGES + "model.train(iterations=120)")
    message = fails("run", path, "--on-nonfinite", "skip", *SHORT)
    assert "Lower the learning rate" in message
    assert "--on-nonfinite" not in message


def test_what_cannot_be_patched_says_why(fails, verb, script):
    path = script("model.compile('NNCG')\nmodel.train(iterations=5)")
    assert fails(verb, path).startswith("NNCG differentiates")


def test_a_bad_number_of_steps(invoke, script):
    assert invoke("diagnose", script(TRAIN), "--profile-steps", 0).exit_code == 2


def test_a_failing_script_leaves_this_process_as_it_was(invoke, script):
    before = (sys.argv, sys.path[:], dde.Model.__init__, plt.show)
    invoke("run", script("1 / 0"))
    assert (sys.argv, sys.path[:], dde.Model.__init__, plt.show) == before
