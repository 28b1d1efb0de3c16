"""Timed runs of optimizers that step by gradients: their points, rates and notes."""

import pytest
import torch

from conflictopt.lab.problems import load_suite
from conflictopt.lab.runs.budget import BUDGETS
from conflictopt.lab.runs.timed.drivers import KINDS
from conflictopt.methods.expression import MethodExpression

SMOKE = BUDGETS["smoke"]


def driver(text, problem="heat_1d"):
    method = MethodExpression.parse(text)
    kind = KINDS[method.optimizer.name]
    setup = kind.setup(load_suite()[problem], 0, SMOKE, method)
    return kind.make(setup, method, 0, SMOKE), setup


def losses(text, steps, problem="heat_1d"):
    found, _ = driver(text, problem)
    seen = []
    for _ in range(steps):
        found.advance(0.0)
        seen.append(found.optimizer.last.values)
    return seen


def test_a_pool_goes_around_its_sets_from_the_runs_own():
    one, three = (losses(f"adam:rate=1e-12:pool={n}", 4) for n in (1, 3))
    assert one[0] == three[0] == pytest.approx(three[3])
    assert len(set(three[:3])) == 3
    assert all(values == pytest.approx(one[0], rel=1e-4) for values in one)


def test_measurements_are_the_same_in_every_set():
    problem = "inverse_reaction_noise5"
    names = load_suite()[problem].loss_names
    measured = [names.index(name) for name in load_suite()[problem].measured]
    for values in losses("adam:rate=1e-12:pool=3", 3, problem)[1:]:
        first = losses("adam:rate=1e-12", 1, problem)[0]
        assert [values[k] for k in measured] == pytest.approx([first[k] for k in measured])
        assert values != pytest.approx(first)


@pytest.mark.parametrize("text", ["adam:rate=0.5", "soap:rate=0.5", "adam+align"])
def test_rates_follow_the_budgets_schedule_over_the_time(text):
    found, _ = driver(text)
    rates = []
    for spent in (0.0, 0.5, 1.0):
        found.advance(spent)
        rates.append(found.optimizer.param_groups[0]["lr"])
    own = 0.5 if text.startswith("adam:") else 1.0
    expected = [SMOKE.learning_rate * SMOKE.rate(part * SMOKE.steps) for part in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([own * rate for rate in expected])


def test_muon_turns_the_weights_between_hidden_layers():
    found, setup = driver("muon:rate=2")
    inner, rest = found.optimizer.param_groups
    assert [p.shape[0] == p.shape[1] for p in inner["params"]] == [True] * len(inner["params"])
    assert inner["params"]
    assert len(inner["params"]) + len(rest["params"]) == len(setup.parameters)
    assert inner["lr"] == pytest.approx(2 * rest["lr"])
    before = [p.detach().clone() for p in setup.parameters]
    found.advance(0.0)
    assert all(not torch.equal(p, q) for p, q in zip(setup.parameters, before, strict=True))


def test_notes_say_whether_soap_gave_back():
    assert driver("soap")[0].notes() == {"given_back": None}
    assert driver("adam")[0].notes() == {}
