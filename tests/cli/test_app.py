"""``diagnose``, ``run`` and ``methods``, on scripts that know nothing of conflictopt."""

import csv
import json
import sys
from pathlib import Path

import pytest

from conflictopt import Profile
from conflictopt._version import __version__
from conflictopt.methods.expression import MethodExpression
from conflictopt.methods.registry import METHODS
from conflictopt.selection.rule import Rule

TRAIN = "model.train(iterations=30)"
SHORT = ("--profile-steps", 20, "--profile-every", 2)
REPORT = {
    "report.json",
    "report.html",
    "pairs.csv",
    "losses.csv",
    "layers.csv",
    "history.csv",
    "profile.npz",
    "profile.png",
}
TRAINED = REPORT | {"training.png"}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_diagnose_prints_the_verdict_and_writes_the_report(script, invoke, tmp_path):
    done = invoke("diagnose", script(TRAIN), *SHORT)
    assert done.exit_code == 0
    for part in ("Verdict: ", "What to do: ", "Why: ", "pde / boundary", "report/report.html"):
        assert part in done.stdout
    folder = tmp_path / "report"
    assert {p.name for p in folder.iterdir()} == REPORT
    report = read(folder / "report.json")
    assert report["script"].endswith("heat.py")
    assert report["diagnosis"]["samples"] == 10
    assert report["plan"]["kind"] in ("none", "reweighting", "adapters + reweighting")
    assert [(r["first"], r["second"]) for r in rows(folder / "pairs.csv")] == [("pde", "boundary")]
    assert [r["name"] for r in rows(folder / "losses.csv")] == ["pde", "boundary"]
    methods = ["Sum", "PCGrad", "ConFIG", "GradNormBalance"]
    assert [r["method"] for r in report["replays"]] == methods
    assert report["rule"]["plans"].keys() >= {"persistent", "magnitude", "benign", "too_close"}
    assert Profile.load(folder / "profile.npz").steps.tolist() == list(range(0, 20, 2))
    assert (folder / "profile.png").read_bytes().startswith(b"\x89PNG")


def test_diagnose_stops_the_script_at_the_end_of_the_profile(script, invoke, tmp_path):
    path = script("open('before', 'w')\nmodel.train(iterations=30)\nopen('after', 'w')")
    assert invoke("diagnose", path, *SHORT).exit_code == 0
    assert (tmp_path / "before").exists()
    assert not (tmp_path / "after").exists()


def test_a_script_that_catches_exceptions_still_stops(script, invoke, tmp_path):
    path = script(
        "try:\n    model.train(iterations=30)\nexcept Exception:\n    pass\nopen('after', 'w')"
    )
    assert invoke("diagnose", path, *SHORT).exit_code == 0
    assert not (tmp_path / "after").exists()


def test_a_script_that_trains_less_is_diagnosed_from_what_there_is(script, invoke, tmp_path):
    done = invoke("diagnose", script("model.train(iterations=7)"), *SHORT)
    assert done.exit_code == 0
    assert "4 samples" in done.stdout
    assert "too short" in done.stdout
    assert read(tmp_path / "report/report.json")["diagnosis"]["too_short"] is True


def test_diagnose_by_each_loss_into_another_folder(script, invoke, tmp_path):
    done = invoke("diagnose", script(TRAIN), *SHORT, "--groups", "each", "--out", "a/b")
    assert done.exit_code == 0
    assert {p.name for p in (tmp_path / "a/b").iterdir()} == REPORT


WITNESS = """
import json, os, sys
with open("witness.json", "w") as file:
    json.dump([__name__, sys.argv, sys.path[0], os.getcwd(), __file__], file)
import neighbour
"""


def test_a_script_finds_itself_as_under_python(script, invoke, tmp_path):
    script("", name="folder/neighbour.py", start="")
    path = script(WITNESS + TRAIN, name="folder/script.py")
    argv, search = sys.argv[:], sys.path[:]
    done = invoke("diagnose", path, *SHORT, "--", "--size", "3", "name")
    assert done.exit_code == 0
    name, words, first, cwd, file = read(tmp_path / "witness.json")
    assert name == "__main__"
    assert words == [str(path), "--size", "3", "name"]
    assert first == str(path.parent)
    assert cwd == str(tmp_path)
    assert file == str(path)
    assert (sys.argv, sys.path) == (argv, search)
    assert Path.cwd() == tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["none", "auto", "ntk", "pcgrad", "adapters", "ntk+pcgrad", "adapters+ntk"]
)
def test_run_trains_to_the_end_and_reports_the_outcome(script, invoke, tmp_path, method):
    path = script(TRAIN + "\nopen('after', 'w')")
    done = invoke("run", path, "--method", method, *SHORT)
    assert done.exit_code == 0
    assert (tmp_path / "after").exists()
    report = read(tmp_path / "report/report.json")
    outcome = report["outcome"]
    assert {p.name for p in (tmp_path / "report").iterdir()} == TRAINED
    shown = outcome["displays"]
    assert 0 < shown["seconds"][0] <= shown["seconds"][-1] <= outcome["wall_time_s"]
    assert shown["train_loss"][-1] == pytest.approx(sum(outcome["train_loss"].values()))
    assert shown["metrics"]["mean_squared_error"][-1] == outcome["metrics"]["mean_squared_error"]
    assert outcome["method"] == MethodExpression.parse(method).label
    assert outcome["steps"] == 30
    assert list(outcome["train_loss"]) == ["pde", "boundary"]
    assert list(outcome["metrics"]) == list(outcome["best"]["metrics"]) == ["mean_squared_error"]
    assert outcome["best"]["train_loss"] <= sum(outcome["train_loss"].values()) * (1 + 1e-6)
    assert outcome["best"]["step"] in (0, 30)
    planned = method == "auto" and report["plan"]["adapters"]
    assert (outcome["adapter_parameters"] > 0) == ("adapters" in method or planned)
    assert "Outcome" in done.stdout
    assert "train loss pde" in done.stdout
    assert "best step" in done.stdout


def test_options_reach_the_method(script, invoke, tmp_path):
    path = script(TRAIN + "\nprint('METHOD', model.conflictopt.method.fixed)")
    words = ("--method", "grad_norm", "--option", "form=one_sided", "--option", "momentum=0.5")
    done = invoke("run", path, *words, *SHORT)
    assert done.exit_code == 0
    assert "form='one_sided'" in done.stdout
    assert "momentum=0.5" in done.stdout


@pytest.mark.slow
def test_methods_joined_by_a_plus_are_a_chain(script, invoke, tmp_path):
    words = ("--method", "adapters:rank=2 + NTK+PCGrad", *SHORT)
    done = invoke("run", script(TRAIN), *words)
    assert done.exit_code == 0, done.stderr
    outcome = read(tmp_path / "report/report.json")["outcome"]
    method = outcome["trained_with"][0]["method"]
    assert [part.split("(")[0] for part in method.split(" -> ")][-3:] == [
        "NTK",
        "PCGrad",
        "AdapterRouting",
    ]
    narrow = outcome["adapter_parameters"]
    invoke("run", script(TRAIN), "--method", "adapters+ntk+pcgrad", *SHORT)
    assert narrow < read(tmp_path / "report/report.json")["outcome"]["adapter_parameters"]


BESIDE = ("GradNormBalance", "--option", "form=one_sided", "--option", "cap=10")


@pytest.mark.parametrize("words", [("grad_norm:form=one_sided:cap=10",), BESIDE])
def test_options_stand_in_the_expression_or_beside_it(script, invoke, tmp_path, words):
    path = script(TRAIN + "\nprint('METHOD', model.conflictopt.method.fixed)")
    done = invoke("run", path, "--method", *words, *SHORT)
    assert done.exit_code == 0, done.stderr
    assert "cap=10.0, form='one_sided'" in done.stdout
    outcome = read(tmp_path / "report/report.json")["outcome"]
    assert outcome["method"] == "grad_norm:cap=10.0:form=one_sided"


def test_options_of_auto_stand_in_the_expression(script, invoke, tmp_path):
    method = "auto:reweighting=grad_norm:profile_steps=20:rank=2"
    done = invoke("run", script(TRAIN), "--method", method, "--profile-every", 2)
    assert done.exit_code == 0, done.stderr
    report = read(tmp_path / "report/report.json")
    assert report["diagnosis"]["samples"] == 10
    assert report["outcome"]["method"] == "auto:reweighting=grad_norm:rank=2:profile_steps=20"


def test_options_of_auto_choose_the_parts_of_the_plan(script, invoke, tmp_path):
    words = ("--option", "reweighting=grad_norm", "--option", "routing=exclusive")
    done = invoke("run", script(TRAIN), *words, *SHORT)
    assert done.exit_code == 0
    assert read(tmp_path / "report/report.json")["plan"]["reweighting"] in ("grad_norm", None)


@pytest.mark.parametrize("command", ["diagnose", "run"])
def test_a_rule_of_ones_own_decides_and_is_shown(command, script, invoke, tmp_path):
    usual = Rule.default()
    content = usual.to_json()
    content["thresholds"]["enough_samples"]["value"] = 5
    for plan in content["plans"].values():
        plan.update(kind="reweighting", reweighting="softadapt", evidence="A record of ours.")
        plan.pop("adapters", None)
        plan.pop("surgery", None)
    (tmp_path / "own.json").write_text(json.dumps(content), encoding="utf-8")
    done = invoke(command, script(TRAIN), "--rule", tmp_path / "own.json", *SHORT)
    assert done.exit_code == 0
    assert read(tmp_path / "report/report.json")["plan"]["reweighting"] == "softadapt"
    assert "A record of ours." in done.stdout
    assert f"--rule {tmp_path / 'own.json'}" in done.stdout


def test_a_file_that_is_no_rule_is_refused(script, invoke, tmp_path):
    (tmp_path / "own.json").write_text("{}", encoding="utf-8")
    done = invoke("diagnose", script(TRAIN), "--rule", tmp_path / "own.json", *SHORT)
    assert done.exit_code == 2
    assert "is no rule: rule: expected thresholds, plans" in done.stderr.replace("\n", " ")


def test_each_model_of_a_script_has_its_report(script, invoke, tmp_path):
    path = script(TRAIN + "\nmodel = build()\n" + TRAIN + "\nbuild()")
    done = invoke("run", path, "--method", "pcgrad", *SHORT)
    assert done.exit_code == 0
    assert {p.name for p in (tmp_path / "report").iterdir()} == TRAINED | {"model-2"}
    assert {p.name for p in (tmp_path / "report/model-2").iterdir()} == TRAINED
    assert done.stdout.count("Outcome") == 2
    parts = done.stdout.split("Model ")
    assert [part[:6] for part in parts[1:]] == ["1 of 2", "2 of 2"]
    reports = [read(tmp_path / "report" / name / "report.json") for name in ("", "model-2")]
    assert [(r["model"], r["models"]) for r in reports] == [(1, 2), (2, 2)]


def test_one_model_has_no_heading(script, invoke):
    assert "Model 1" not in invoke("run", script(TRAIN), "--method", "none", *SHORT).stdout


@pytest.mark.slow
def test_the_time_of_a_model_is_that_of_its_own_training(script, invoke, tmp_path):
    path = script("import time\ntime.sleep(2)\n" + TRAIN + "\nmodel = build()\n" + TRAIN)
    assert invoke("run", path, "--method", "none", *SHORT).exit_code == 0
    for name in ("", "model-2"):
        outcome = read(tmp_path / "report" / name / "report.json")["outcome"]
        assert 0 < outcome["wall_time_s"] < 2


def test_a_loop_of_single_steps_has_no_training_time(script, invoke, tmp_path):
    step = "model._train_step(*model.data.train_next_batch())"
    path = script(f"for _ in range(30):\n    {step}")
    done = invoke("run", path, "--method", "none", *SHORT)
    assert done.exit_code == 0, done.stderr
    outcome = read(tmp_path / "report/report.json")["outcome"]
    assert (outcome["steps"], outcome["wall_time_s"]) == (30, None)


def test_a_model_that_was_only_restored_was_not_trained(script, invoke, tmp_path):
    restored = "\npath = model.save('saved')\nbuild().restore(path)"
    done = invoke("run", script(TRAIN + restored), "--method", "ntk", *SHORT)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("Outcome") == 1
    assert not (tmp_path / "report/model-2").exists()


def test_a_profile_of_one_step_ends_the_script(script, invoke, tmp_path):
    done = invoke("diagnose", script(TRAIN), "--profile-steps", 1)
    assert done.exit_code == 0, done.stderr
    assert "A profile of 1 sample decides nothing" in " ".join(done.stdout.split())


def test_the_model_whose_profile_is_complete_is_diagnosed(script, invoke, tmp_path):
    path = script("other = build()\nother.train(iterations=5)\n" + TRAIN)
    done = invoke("diagnose", path, *SHORT)
    assert done.exit_code == 0, done.stderr
    assert "Model 1 of 2 trained so far" in done.stdout
    assert read(tmp_path / "report/report.json")["diagnosis"]["samples"] == 10


LBFGS = """
dde.optimizers.set_LBFGS_options(maxiter=20)
model.compile("L-BFGS")
model.train()
"""


def test_a_script_with_l_bfgs_alone_is_told_what_a_step_is(script, invoke):
    done = invoke("diagnose", script(LBFGS))
    assert done.exit_code == 0, done.stderr
    assert "one step of the optimizer is up to 1000 of them" in " ".join(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    "attempt",
    [
        "plt.show()",
        "plt.show(block=True)",
        "plt.ion(); plt.pause(0.001)",
        "plt.switch_backend('TkAgg')",
        "matplotlib.use('TkAgg', force=True); plt.figure()",
        "dde.saveplot(model.losshistory, model.train_state, issave=False, isplot=True)",
    ],
)
def test_no_window_is_opened(script, invoke, attempt):
    import matplotlib.pyplot as plt

    start = "import matplotlib\nmatplotlib.use('TkAgg')\nimport matplotlib.pyplot as plt\n"
    drawn = f"\nplt.plot([0, 1])\n{attempt}\nprint('BACKEND', matplotlib.get_backend().lower())"
    done = invoke("run", script(start + TRAIN + drawn), "--method", "none", *SHORT)
    plt.close("all")
    assert done.exit_code == 0, done.stderr
    assert "BACKEND agg" in done.stdout


@pytest.mark.slow
def test_the_seed_of_a_script(unseeded, invoke, tmp_path):
    def losses(*words):
        done = invoke("run", unseeded, "--method", "none", *SHORT, *words)
        assert done.exit_code == 0, done.stderr
        return json.loads((tmp_path / "report/report.json").read_text())["outcome"]["train_loss"]

    first, again, other = (losses("--script-seed", seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.slow
def test_the_users_own_weights_are_told(script, invoke, tmp_path):
    compiled = 'model.compile("adam", lr=1e-2, loss_weights=[1, 100])\n'
    done = invoke("diagnose", script(compiled + TRAIN), *SHORT)
    said = "The script weights its losses itself (loss_weights: 1, 100)."
    assert said in " ".join(done.stdout.split())
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert report["verdict"]["remarks"][0].startswith(said)
    assert said in (tmp_path / "report/report.html").read_text()
    for alike in ("", 'model.compile("adam", lr=1e-2, loss_weights=[2, 2])\n'):
        assert "weights its losses" not in invoke("diagnose", script(alike + TRAIN), *SHORT).stdout


def test_the_outcome_has_the_unknowns(script, invoke):
    unknowns = (
        "a, b = dde.Variable(0.5), dde.Variable([1.0, 2.0])\n"
        'model.compile("adam", lr=1e-2, external_trainable_variables=[a, b])\n'
    )
    done = invoke("run", script(unknowns + TRAIN), "--method", "none", *SHORT)
    assert done.exit_code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("unknown")]
    assert rows[0] == ["unknown", "1", "0.5"]
    assert rows[1][:2] == ["unknown", "2"]
    assert "".join(rows[1][2:]) == "[1.0,2.0]"


def test_methods_as_json(invoke):
    done = invoke("methods", "--json")
    listed = json.loads(done.stdout)
    assert [row["name"] for row in listed] == list(METHODS)
    for row in listed:
        known = {"name", "family", "summary", "source", "needs", "passes", "claim", "options"}
        assert set(row) == known
        assert row["family"] in ("reweighting", "surgery", "routing")
        assert row["summary"].endswith(".")
        assert row["source"]
        assert all(isinstance(need, str) for need in row["needs"])


def test_methods_as_a_table(invoke):
    done = invoke("methods")
    assert done.exit_code == 0
    assert all(name in done.stdout for name in METHODS)


def test_version(invoke):
    assert invoke("--version").stdout.strip() == __version__


def test_diagnosis_needs_no_residuals(script, invoke, tmp_path):
    start = "loss_function = lambda target, value: (target - value).abs().mean()\n"
    compile_so = "model.compile('adam', lr=1e-3, loss=loss_function)\n"
    done = invoke("diagnose", script(start + compile_so + TRAIN), *SHORT)
    assert done.exit_code == 0
    assert read(tmp_path / "report/report.json")["diagnosis"]["samples"] == 10


def test_a_plan_that_came_too_late_is_not_reported_as_carried_out(script, invoke, tmp_path):
    done = invoke("run", script(TRAIN), "--method", "auto", "--profile-steps", 100)
    assert done.exit_code == 0
    assert "the plan was not applied: training ended before the profile did." in done.stdout
    outcome = read(tmp_path / "report/report.json")["outcome"]
    assert outcome["plan_applied"] is False
    assert outcome["trained_with"] == [{"from_step": 0, "method": "Sum"}]


def test_the_report_says_what_was_trained_with(script, invoke, tmp_path):
    words = ("--profile-steps", 60, "--option", "reweighting=grad_norm")
    done = invoke("run", script("model.train(iterations=80)"), *words)
    assert done.exit_code == 0
    report = read(tmp_path / "report/report.json")
    assert report["outcome"]["plan_applied"] is True
    assert report["diagnosis"]["samples"] == 60
    assert report["outcome"]["trained_with"][1]["from_step"] == 60


def test_a_script_that_fails_late_keeps_its_report(script, invoke, tmp_path):
    done = invoke("run", script(TRAIN + "\nraise ValueError('late')"), "--method", "ntk", *SHORT)
    assert done.exit_code == 2
    assert "late" in done.stderr
    assert read(tmp_path / "report/report.json")["outcome"]["steps"] == 30


@pytest.mark.slow
def test_engine_and_held_coefficients_reach_the_run(script, invoke, tmp_path):
    done = invoke("run", script(TRAIN), *SHORT, "--method", "pcgrad", "--engine", "graph")
    assert done.exit_code == 0
    first = read(tmp_path / "report/report.json")["outcome"]
    assert (first["engine"], first["every"]) == ("graph", 1)
    done = invoke("run", script(TRAIN), *SHORT, "--method", "pcgrad", "--every", 7)
    assert done.exit_code == 0
    held = read(tmp_path / "report/report.json")["outcome"]
    assert (held["engine"], held["every"]) == ("auto", 7)
    assert held["train_loss"] != first["train_loss"]


# -- newcomers --------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["", "run", "diagnose", "methods", "calibrate", "suite run"])
def test_h_is_help(invoke, line):
    done = invoke(*line.split(), "-h")
    assert done.exit_code == 0
    assert "Usage: " in done.stdout
    assert "--help" in done.stdout


def test_without_a_command_there_is_help(invoke):
    done = invoke()
    assert "Usage: " in done.output
    assert "diagnose" in done.output


def test_a_folder_with_other_files_is_refused_before_training(script, invoke, tmp_path, verb):
    path = script(TRAIN, start="open('ran', 'w')\n")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("mine")
    done = invoke(verb, path, *SHORT)
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert "expected 'report' as a new folder or one with a report of conflictopt" in said
    assert "'thesis.tex'. Name another one for the report: --out FOLDER." in said
    assert not (tmp_path / "ran").exists()
    assert [p.name for p in (tmp_path / "report").iterdir()] == ["thesis.tex"]


@pytest.fixture(params=["diagnose", "run"])
def verb(request):
    return request.param
