"""Records of older versions: which are still of the runs that this version makes."""

import subprocess
import sys

import pytest

from conflictopt import __version__
from conflictopt.lab.runs.generations import ALIKE, generation
from conflictopt.lab.runs.identity import check_comparable, differences, version
from conflictopt.lab.runs.provenance import TRAINING
from conflictopt.methods.expression import MethodExpression
from conflictopt.methods.expression_parts import completed

OLD_AUTO = {
    "reweighting": None,
    "routing": "shared",
    "rank": 4,
    "look": None,
    "race_steps": 250,
    "rediagnose_every": None,
    "profile_steps": None,
}
REMOVED = {"look", "race_steps", "rediagnose_every"}


@pytest.fixture
def record(standin):
    def make(wrote, seed=0):
        (task,) = standin.tasks(["heat"], ["ntk"], 1)
        made = standin.train(task.problem, task.method, seed, task.budget)
        return {**made, "versions": {**made["versions"], "conflictopt": wrote}}

    return make


def test_every_version_is_in_one_generation_and_this_one_in_the_last():
    every = [v for members in ALIKE for v in members]
    assert len(set(every)) == len(every)
    assert __version__ in ALIKE[-1], "say in generations.py whether this version trains alike"


def test_versions_that_train_alike_are_of_one_kind(record):
    old, new = record("0.1.0"), record("0.2.0", seed=1)
    assert differences(old, record("0.2.0")) == []
    assert check_comparable([old, new]) == []
    assert version(old) == version(new)


@pytest.mark.parametrize("other", ["0.0.9", "9.0.0", None])
def test_other_versions_are_not(record, other):
    assert generation(other) == str(other)
    (line,) = differences(record(other), record("0.2.0"))
    assert line == f'conflictopt "{other}" instead of "0.1.0 to 0.2.0"'


def test_removed_options_at_their_defaults_change_no_run():
    made = completed("auto", OLD_AUTO)
    assert not made.keys() & REMOVED
    assert made == MethodExpression.parse("auto").options["auto"]


@pytest.mark.parametrize(
    ("option", "used"), [("look", "race"), ("race_steps", 500), ("rediagnose_every", 1000)]
)
def test_a_removed_option_in_use_is_history(option, used):
    old = completed("auto", {**OLD_AUTO, option: used})
    assert old[option] == used
    assert old != completed("auto", {})


@pytest.mark.slow
def test_all_that_trains_counts_as_source():
    code = (
        "import sys, conflictopt.lab.runs.training\n"
        "print(*(m for m in sys.modules if m.startswith('conflictopt.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms = {m.removeprefix("conflictopt.").replace(".", "/") + "/" for m in done.stdout.split()}
    words = ("_version/", "wording/", "report/")
    assert not [r for r in rooms if not r.startswith((*TRAINING, *words)) and r != "lab/"]


def test_what_only_shows_does_not():
    for room in ("cli/", "report/", "lab/study_report/", "lab/calibration/", "lab/synthetic/"):
        assert not room.startswith(TRAINING)
