"""What the report tells to copy can be copied."""

import io
import json
import shlex

import numpy as np
import pytest
from rich.console import Console

import conflictopt
from conflictopt import Plan, Profile, diagnose
from conflictopt.auto.options import TrainingOptions
from conflictopt.auto.script_outcome import ScriptOutcome
from conflictopt.cli.script_call import ScriptCall
from conflictopt.cli.verdict import outcome_table
from conflictopt.integrations.deepxde import patch
from conflictopt.methods.expression import MethodExpression
from conflictopt.report.advice import advise
from conflictopt.report.script import Script

from .conftest import MODEL

pytestmark = pytest.mark.usefixtures("papers_rule")

TRAIN = "model.train(iterations=80)"
PROFILE = ("--profile-steps", 60, "--profile-every", 1)


def read(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def lines(report):
    return {line["label"]: line["text"] for line in report["advice"]["lines"]}


def words(line):
    program, *others = shlex.split(line)
    assert program == "conflictopt"
    return others


def pulling(way):
    """The two losses want u = 1 at the walls, and u = ``way`` inside."""
    return f"model.data.pde = lambda x, u: u - {way}\n" + TRAIN


@pytest.mark.slow
def test_the_commands_for_conflict_run_as_they_are(script, invoke, tmp_path):
    path = script(pulling(-1), name="with space.py")
    assert invoke("diagnose", path, *PROFILE, "--groups", "each", "--", "-x").exit_code == 0
    said = lines(read(tmp_path / "report"))
    done = invoke(*words(said["Run"]))
    assert done.exit_code == 0, done.output
    report = read(tmp_path / "report")
    assert report["arguments"] == ["-x"]
    assert report["verdict"]["headline"] == "persistent conflict"
    assert report["outcome"]["plan_applied"] is True
    assert report["advice"]["done"].endswith("from step 60 on.")
    assert "This run: " in done.stdout
    assert "The plan: " in done.stdout
    assert "--against none" in said["Compare"]


@pytest.mark.slow
def test_the_command_for_a_plan_keeps_the_options_of_auto(script, invoke, tmp_path):
    path, chosen = script(pulling(-1)), ("--option", "reweighting=softadapt", "--option", "rank=2")
    assert invoke("run", path, "--method", "auto", *chosen, *PROFILE).exit_code == 0
    report = read(tmp_path / "report")
    assert report["plan"]["reweighting"] == "softadapt"
    assert words(lines(report)["Run"])[4:8] == list(chosen)
    assert words(lines(report)["Compare"])[4:8] == list(chosen)


@pytest.mark.slow
def test_auto_keeps_the_users_own_weights_unless_a_reweighting_is_named(script, invoke, tmp_path):
    path = script('model.compile("adam", lr=1e-2, loss_weights=[1, 2])\n' + pulling(-1))
    done = invoke("run", path, *PROFILE)
    assert done.exit_code == 0, done.output
    report = read(tmp_path / "report")
    assert (report["diagnosis"]["regime"], report["plan"]["kind"]) == ("persistent", "none")
    assert "the losses have weights of the user's own" in report["plan"]["reason"]
    assert "Evidence for the choice" not in report["advice"]["basis"]
    assert "Keep your weights" in report["advice"]["action"]
    compared = words(lines(report)["Compare"])
    assert compared[4:8] == ["--option", "reweighting=ntk", "--against", "none"]
    assert invoke("run", path, "--option", "reweighting=softadapt", *PROFILE).exit_code == 0
    report = read(tmp_path / "report")
    assert report["plan"]["reweighting"] == "softadapt"
    assert report["outcome"]["plan_applied"] is True


def test_without_conflict_there_is_nothing_to_change(script, invoke, tmp_path):
    path = script(pulling(1), name="with space.py")
    done = invoke("diagnose", path, *PROFILE, "--", "-x")
    assert done.exit_code == 0, done.output
    assert lines(read(tmp_path / "report")) == {"Run": shlex.join(["python", str(path), "-x"])}
    assert "Nothing needs to be changed; train as you do now." in done.stdout


@pytest.mark.parametrize(
    "plan",
    [
        Plan("reweighting", "grad_norm", False, ""),
        Plan("adapters + reweighting", "ntk", True, ""),
        Plan("adapters + reweighting", "ntk", True, "", {"rank": 2, "routing": "exclusive"}),
    ],
)
def test_the_line_for_deepxde_trains(plan):
    sample = Profile(("a", "b"), np.arange(60), np.ones((60, 2)), np.tile(np.eye(2), (60, 1, 1)))
    advice = advise(diagnose(sample), plan, script=Script("heat.py"))
    line = next(line.text for line in advice.lines if line.label == "DeepXDE")
    names = {**vars(conflictopt), "patch": patch}
    exec(MODEL, names)
    exec(line, names)
    names["model"].train(iterations=3)
    method = names["model"].conflictopt.trained_with[0][1]
    assert ("Adapter" in method) == plan.adapters


@pytest.mark.slow
def test_a_plan_of_nothing_changes_nothing(script, invoke, tmp_path):
    alone = "model.data.bcs = []\n" + TRAIN
    for path in (script(alone), script(pulling(1))):
        assert invoke("run", path, "--method", "auto", *PROFILE).exit_code == 0
        said = read(tmp_path / "report")["advice"]["done"]
        assert said == "nothing was changed: training went on plainly, as planned."


def test_a_method_of_ones_own_is_told(script, invoke, tmp_path):
    done = invoke("run", script(TRAIN), "--method", "pcgrad", *PROFILE)
    expected = "trained with pcgrad from the start; the profile is of that, not of a plain run."
    assert read(tmp_path / "report")["advice"]["done"] == expected
    assert f"This run: {expected}" in done.stdout


@pytest.mark.slow
def test_a_plain_run_is_told(script, invoke, tmp_path):
    done = invoke("run", script(TRAIN), "--method", "none", *PROFILE)
    assert done.exit_code == 0, done.output
    said = read(tmp_path / "report")["advice"]["done"]
    assert said == "trained plainly; the plan was not applied."


@pytest.mark.slow
def test_a_run_restored_after_its_decision_has_an_outcome(script, invoke, tmp_path):
    first = script(pulling(-1) + "\nmodel.save('saved')", name="first.py")
    assert invoke("run", first, *PROFILE).exit_code == 0
    second = script("model.restore('saved-80.pt')\nmodel.train(iterations=20)", name="second.py")
    done = invoke("run", second, *PROFILE)
    assert done.exit_code == 0, done.output
    report = read(tmp_path / "report")
    assert report["verdict"]["headline"] == "persistent conflict"
    assert report["plan"]["kind"] == "adapters + reweighting"
    assert report["outcome"]["steps"] == 100


def called(folder, options, arguments=(), method="auto", groups="kind"):
    expression = MethodExpression.parse(method)
    return ScriptCall(folder / "a.py", arguments, expression, options, groups, folder).again()


def test_a_script_remembers_how_it_was_run(tmp_path):
    plain = called(tmp_path, TrainingOptions())
    assert (plain.options, plain.auto, plain.profile_steps) == ((), (), 1000)
    options = TrainingOptions(profile_steps=300, profile_every=2, engine="graph", every=7, seed=3)
    other = called(tmp_path, options, ("x",), groups="each")
    expected = ("--profile-every", "2", "--engine", "graph", "--groups", "each")
    assert (other.options, other.profile_steps, other.arguments) == (expected, 300, ("x",))
    assert other.auto == ("--seed", "3", "--every", "7")


def test_a_script_remembers_the_options_of_auto(tmp_path):
    options = TrainingOptions(every=7)
    script = called(tmp_path, options, method="auto:rank=2:profile_steps=200:reweighting=dwa")
    assert script.auto == ("--option", "reweighting=dwa", "--option", "rank=2", "--every", "7")
    assert script.profile_steps == 200
    assert called(tmp_path, options, method="ntk:refresh=10").auto == ("--every", "7")


def test_outcomes_from_json_may_be_infinite_or_without_a_best_step():
    content = {
        "method": "none",
        "trained_with": [{"from_step": 0, "method": "Sum"}],
        "plan_applied": False,
        "decisions": [],
        "engine": "auto",
        "every": 1,
        "steps": 3,
        "skipped_steps": 0,
        "wall_time_s": None,
        "train_loss": {"pde": "inf"},
        "test_loss": {},
        "metrics": {"error": "nan"},
        "displays": {"seconds": [0.1], "train_loss": ["inf"], "metrics": {"error": ["nan"]}},
        "best": None,
        "unknowns": [],
        "adapter_parameters": 0,
        "residual_steps": [],
        "log": [],
    }
    best = {"step": 2, "train_loss": "inf", "metrics": {"error": 0.5}}
    outcomes = {
        "none": ScriptOutcome.from_json(content),
        "auto": ScriptOutcome.from_json({**content, "best": best}),
    }
    assert outcomes["auto"].to_json()["best"]["metrics"] == {"error": 0.5}
    assert outcomes["none"].to_json().keys() == content.keys()
    wide = Console(width=200, record=True, file=io.StringIO())
    wide.print(outcome_table(outcomes))
    rows = [line.split() for line in wide.export_text().splitlines()]
    assert ["train", "loss", "pde", "inf", "inf"] in rows
    assert ["metric", "error", "nan", "nan"] in rows
    assert ["metric", "error", "there", "-", "0.5"] in rows
    assert ["train", "loss", "there", "-", "inf"] in rows
