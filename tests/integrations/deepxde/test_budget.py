"""Seconds instead of iterations: how they are divided, what they cost, and how training ends."""

from __future__ import annotations

import deepxde as dde
import pytest
import torch

from conflictopt import LevenbergMarquardt
from conflictopt.integrations.deepxde import patch, residual_training
from conflictopt.integrations.deepxde.budget import Budget
from conflictopt.integrations.deepxde.pace import Pace


def test_seconds_are_divided_evenly_among_the_calls():
    budget = Budget(12.0, calls=3)
    assert budget.share() == 4.0
    budget.spend(6.0)
    assert budget.share() == 3.0
    budget.spend(3.0)
    assert budget.share() == 3.0
    budget.spend(3.0)
    assert budget.share() == 0.0
    assert Budget(None).share() is None


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("model.train(iterations=5)", [8.0]),
        ("model.train(iterations=5)\nmodel.compile('L-BFGS')\nmodel.train()", [4.0, 4.0]),
        ("for _ in range(9):\n    model.train(iterations=5)", [4.0, 2.0, 1.0]),
    ],
)
def test_the_text_of_a_script_shows_its_calls(tmp_path, text, shares):
    path = tmp_path / "script.py"
    path.write_text(text, encoding="utf-8")
    budget = Budget.of_script(path, 8.0)
    for expected in shares:
        share = budget.share()
        assert share == expected
        budget.spend(share)


@pytest.fixture
def trained(heat):
    """``trained(budget, iterations)``: a model that took that call, and its listener's record."""

    def train(budget, iterations, **options):
        model, seen = heat(num_domain=100), []
        made = patch(model, "levenberg_marquardt")
        if budget is not None:
            made.allow(budget)
        model.compile("adam", lr=1e-3, verbose=0)
        callback = dde.callbacks.Callback()
        callback.on_train_end = lambda: seen.append(model.losshistory.steps[-1])
        model.train(iterations=iterations, verbose=0, callbacks=[callback], **options)
        return model, seen

    return train


def test_training_ends_with_its_seconds_as_it_ends_in_deepxde(trained):
    model, ended = trained(Budget(0.6), 10**6, display_every=10**5)
    made = model.conflictopt
    assert ended == [made.steps] == [model.train_state.step]
    assert made.steps > 1
    assert model.train_state.best_step in model.losshistory.steps
    assert len(model.losshistory.steps) > 2
    (line,) = [line for line in made.log if "steps of LevenbergMarquardt" in line]
    assert line.startswith(f"step {made.steps}: {made.steps} steps")
    assert "s of 0.6" in line


def test_a_call_without_seconds_left_takes_one_step(trained):
    model, ended = trained(Budget(1e-9), 10**6)
    assert ended == [1] == [model.conflictopt.steps]


def test_the_optimizer_of_the_script_goes_first(trained):
    model, _ = trained(Budget(0.8), 10**6)
    (line,) = [line for line in model.conflictopt.log if "steps of adam first" in line]
    assert "in 0.2 s" in line
    assert model.conflictopt._hook.optimizer.state
    model.train(iterations=10**6, verbose=0)
    assert [line for line in model.conflictopt.log if "steps of adam first" in line] == [line]


def test_it_does_not_where_steps_are_counted_or_it_searches_lines(trained, heat, lbfgs):
    model, _ = trained(None, 5)
    assert not any("first, in" in line for line in model.conflictopt.log)
    lbfgs(iterations=40)
    model = heat()
    made = patch(model, "levenberg_marquardt")
    made.allow(Budget(0.5))
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    assert not any("first, in" in line for line in made.log)


def test_what_the_scripts_iterations_cost_is_found_without_a_trace(trained, monkeypatch):
    monkeypatch.setattr(residual_training, "WARM", 0.0)
    budgeted, _ = trained(Budget(None), 60)
    made = budgeted.conflictopt
    assert any("60 iterations of adam would take" in line for line in made.log)
    assert made._hook.optimizer.state == {}
    plain, _ = trained(None, made.steps)
    for a, b in zip(budgeted.net.parameters(), plain.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_cost_of_l_bfgs_is_that_of_its_iterations(heat, lbfgs):
    lbfgs(iterations=40)
    model = heat()
    made = patch(model, "levenberg_marquardt")
    made.allow(Budget(None))
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    told = "at most 40 iterations of L-BFGS would take at most"
    assert any(told in line for line in made.log)
    group = made._hook.optimizer.param_groups[0]
    assert group["max_iter"] == dde.optimizers.LBFGS_options["iter_per_step"]


def test_training_ends_where_a_step_says_so():
    shown = []
    pace = Pace(lambda: shown.append(pace.model.train_state.step), 100, 0)
    pace.model = type("Model", (), {})()
    pace.model.train_state = type("State", (), {"step": 0})()
    pace.model.losshistory = type("History", (), {"steps": [0]})()
    pace.model.stop_training = False
    while not pace.model.stop_training:
        pace.model.train_state.step += 1
        pace.stepped(0.1, over=pace.model.train_state.step == 10)
        pace.on_batch_end()
    assert (pace.over, shown) == (True, [10])


@pytest.fixture
def loaded(monkeypatch):
    """How many steps had been taken whenever a model was given what did best."""
    seen, plainly = [], LevenbergMarquardt.load_best

    def load_best(self, closure):
        seen.append(self._memory["steps"])
        plainly(self, closure)
        with torch.no_grad():
            self.trained[0].fill_(0.5)  # to be seen again

    monkeypatch.setattr(LevenbergMarquardt, "load_best", load_best)
    return seen


@pytest.mark.parametrize("seconds", [None, 0.4])
def test_a_call_ends_with_what_did_best_and_shows_it(trained, loaded, seconds):
    budget = None if seconds is None else Budget(seconds)
    model, _ = trained(budget, 30 if budget is None else 10**6)
    assert loaded == [model.conflictopt.steps]
    assert bool((next(model.net.parameters()) == 0.5).all())
    shown = model.train_state.loss_train
    model._test(verbose=0)
    assert model.train_state.loss_train == pytest.approx(shown, rel=1e-6)


def test_a_call_that_a_callback_ends_does_too(heat, loaded):
    class Impatient(dde.callbacks.Callback):
        def on_batch_end(self):
            self.model.stop_training = True

    model = heat(num_domain=100)
    patch(model, "levenberg_marquardt")
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=30, verbose=0, callbacks=[Impatient()])
    assert loaded == [1] == [model.conflictopt.steps]
