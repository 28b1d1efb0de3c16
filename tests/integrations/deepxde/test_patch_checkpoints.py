"""``model.save`` and ``model.restore`` of patched models."""

import warnings

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import make
from conflictopt.integrations.deepxde import patch

pytestmark = pytest.mark.usefixtures("papers_rule")

SHORT = {"profile_steps": 10, "profile_every": 1}


@pytest.fixture
def saved(tmp_path):
    """``saved(model)``: the path of its checkpoint."""
    return lambda model: model.save(str(tmp_path / "model"))


@pytest.mark.parametrize("method", ["sum", "constant", "grad_norm", "ntk", "pcgrad", "config"])
def test_a_restored_run_continues_bitwise(heat, adam, saved, method):
    options = {"weights": (1.0, 2.0, 3.0)} if method == "constant" else {}
    first, second = heat(), heat()
    for model in (first, second):
        patch(model, make(method, **options))
    adam(first, 10)
    path = saved(first)
    first.train(iterations=10, verbose=0)
    second.compile("adam", lr=1e-2, verbose=0)
    second.train(0, verbose=0)
    second.restore(path)
    second.train(iterations=10, verbose=0)
    ends = zip(first.net.parameters(), second.net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in ends)
    assert second.conflictopt.steps == 20


def test_a_restored_profile_is_completed(conflicting, adam, saved, forced):
    first, second = conflicting(), conflicting()
    for model in (first, second):
        patch(model, "auto", thresholds=forced["magnitude"], **SHORT)
    adam(first, 6)
    path = saved(first)
    first.train(iterations=4, verbose=0)
    second.compile("adam", lr=1e-2, verbose=0)
    second.train(0, verbose=0)
    second.restore(path)
    second.train(iterations=4, verbose=0)
    assert np.array_equal(first.conflictopt.profile.gramians, second.conflictopt.profile.gramians)


@pytest.mark.parametrize("unknowns", [False, True], ids=["forward", "inverse"])
def test_going_back_to_a_checkpoint_from_before_the_adapters(
    conflicting, adam, saved, forced, unknowns
):
    model = conflicting()
    patch(model, "auto", thresholds=forced["persistent"], **SHORT)
    adam(model, 8, external_trainable_variables=dde.Variable(1.0) if unknowns else None)
    points = np.array([[0.1, 0.2], [0.3, 0.4]])
    before, path = model.predict(points), saved(model)
    model.train(iterations=20, verbose=0)
    assert model.conflictopt.adapters is not None
    assert not np.array_equal(before, model.predict(points))
    model.restore(path)
    assert model.conflictopt.adapters is model.conflictopt.plan is None
    assert np.array_equal(before, model.predict(points))
    model.train(iterations=5, verbose=0)
    assert all((u != 0).any() for u in model.conflictopt.adapters.up)


def test_going_back_to_a_checkpoint_with_adapters(heat, adam, saved):
    model = heat()
    patch(model, "adapters")
    adam(model, 10)
    points = np.array([[0.1, 0.2], [0.3, 0.4]])
    before, path = model.predict(points), saved(model)
    model.train(iterations=10, verbose=0)
    model.restore(path)
    assert np.array_equal(before, model.predict(points))


def test_resuming_with_adapters_in_a_fresh_model(heat, adam, saved):
    first, second = heat(), heat()
    for model in (first, second):
        patch(model, "adapters")
    adam(first, 10)
    path = saved(first)
    first.train(iterations=10, verbose=0)
    second.compile("adam", lr=1e-2, verbose=0)
    second.train(0, verbose=0)
    second.restore(path)
    second.train(iterations=10, verbose=0)
    ends = zip(first.net.parameters(), second.net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in ends)


def test_the_best_model_of_a_checkpoint_callback_is_restored(conflicting, forced, tmp_path):
    model = conflicting()
    patch(model, "auto", thresholds=forced["persistent"], **SHORT)
    model.compile("adam", lr=1e-2, verbose=0)
    keep = dde.callbacks.ModelCheckpoint(str(tmp_path / "best"), save_better_only=True, period=5)
    model.train(iterations=30, display_every=5, callbacks=[keep], verbose=0)
    files = sorted(tmp_path.glob("best-*.pt"), key=lambda p: int(p.stem.split("-")[1]))
    assert len(files) > 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in (files[0], files[-1]):
            model.restore(str(path))
    model.train(iterations=2, verbose=0)


def test_train_restores_and_saves_by_path(heat, adam, tmp_path):
    model = heat()
    patch(model, "pcgrad")
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=5, model_save_path=str(tmp_path / "m"), verbose=0)
    path = str(tmp_path / "m-5.pt")
    end = [p.clone() for p in model.net.parameters()]
    model.train(iterations=5, verbose=0)
    model.train(iterations=0, model_restore_path=path, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(end, model.net.parameters(), strict=True))


def test_a_checkpoint_of_the_unpatched_model_loads_with_a_warning(heat, adam, saved):
    plain, model = heat(), heat()
    adam(plain, 5)
    patch(model, "grad_norm")
    adam(model, 5)
    with pytest.warns(UserWarning, match="the checkpoint is of the plain optimizer"):
        model.restore(saved(plain))
    ends = zip(plain.net.parameters(), model.net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in ends)


def test_the_unpatched_model_loads_a_patched_checkpoint(heat, adam, saved):
    plain, model = heat(), heat()
    patch(model, "grad_norm")
    adam(model, 5)
    plain.compile("adam", lr=1e-2, verbose=0)
    plain.restore(saved(model))
    ends = zip(plain.net.parameters(), model.net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in ends)
    plain.train(iterations=2, verbose=0)


def test_lbfgs_restores(heat, lbfgs, saved):
    lbfgs(iterations=10, per_step=5)
    model = heat()
    patch(model, "ntk")
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    path, end = saved(model), [p.clone() for p in model.net.parameters()]
    model.compile("L-BFGS", verbose=0)
    model.restore(path)
    assert all(torch.equal(a, b) for a, b in zip(end, model.net.parameters(), strict=True))
    assert model.opt.state_dict()["state"][0]["n_iter"] > 0


def test_an_inverse_problem_restores(inverse, adam, saved):
    model = inverse()
    patch(model, "ntk")
    adam(model, 5, external_trainable_variables=model.unknown)
    path = saved(model)
    model.train(iterations=5, verbose=0)
    model.restore(path)
    model.train(iterations=5, verbose=0)
    assert model.conflictopt.steps == 10


def test_a_decided_run_goes_on_in_a_fresh_process(conflicting, forced, tmp_path):
    """Method, weights, adapters, verdict and decision come back; nothing is profiled again."""
    model = conflicting()
    patch(model, "auto", thresholds=forced["persistent"], **SHORT)
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=20, verbose=0)
    path = model.save(str(tmp_path / "model"))
    model.train(iterations=10, verbose=0)

    fresh = conflicting()
    patch(fresh, "auto", thresholds=forced["persistent"], **SHORT)
    fresh.compile("adam", lr=1e-2, verbose=0)
    fresh.restore(path)
    assert fresh.opt.aggregator == model.opt.aggregator
    assert fresh.conflictopt.steps == 20
    fresh.train(iterations=10, verbose=0)
    made, other = model.conflictopt, fresh.conflictopt
    assert (other.diagnosis, other.plan) == (made.diagnosis, made.plan)
    assert [d.to_json() for d in other.decisions] == [d.to_json() for d in made.decisions]
    assert other.trained_with == made.trained_with
    for a, b in zip(model.net.parameters(), fresh.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_decision_to_do_nothing_is_restored(conflicting, forced, adam, tmp_path):
    def patched():
        model = conflicting()
        patch(model, "auto", thresholds=forced["benign"], profile_steps=20, profile_every=2)
        return model

    first, second = patched(), patched()
    adam(first, 25)
    path = first.save(str(tmp_path / "model"))
    second.compile("adam", lr=1e-3, verbose=0)
    second.restore(path)
    made = second.conflictopt
    assert (made.plan.kind, made.plan_applied) == ("none", True)
    assert made.optimizer.aggregator == make("sum")
