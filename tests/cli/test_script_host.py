"""What the commands ask of an integration, and what the DeepXDE one has."""

import inspect

import pytest

from conflictopt import ConflictOptError
from conflictopt.auto.options import TrainingOptions
from conflictopt.auto.patched_run import PatchedRun
from conflictopt.cli import script_host
from conflictopt.cli.script_host import ScriptRun, ScriptRunner, TrainedModel, script_runner
from conflictopt.integrations.deepxde.patched_model import Patch
from conflictopt.integrations.deepxde.script import ScriptRun as DeepXDEScript


def asked(protocol):
    """Names that a protocol asks for."""
    own = {name for name in vars(protocol) if not name.startswith("_")}
    return own | set(inspect.get_annotations(protocol))


def test_a_trained_script_offers_all_that_is_asked_for(script):
    path, seen, options = script("model.train(iterations=3)"), [], TrainingOptions(record=True)
    task = script_runner()(
        path,
        [],
        "pcgrad",
        options,
        groups="kind",
        on_patch=seen.append,
        seed=1,
    )
    task.train()
    (model,) = task.trained
    assert isinstance(task, DeepXDEScript)
    assert isinstance(model.run, Patch)
    assert seen == [model.run]
    for thing, protocol in ((task, ScriptRun), (model, TrainedModel), (model.run, PatchedRun)):
        assert asked(protocol)
        assert not [name for name in asked(protocol) if not hasattr(thing, name)]
    assert model.outcome("pcgrad").steps == 3


def test_the_runner_takes_what_it_is_given():
    given = inspect.signature(ScriptRunner.__call__).parameters
    taken = inspect.signature(DeepXDEScript.__init__).parameters
    assert list(given) == list(taken)
    assert all(given[name].kind == taken[name].kind for name in given)


def test_a_host_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(script_host, "entry_points", lambda group: ())
    with pytest.raises(ConflictOptError, match="no integration 'deepxde' is installed"):
        script_runner()
