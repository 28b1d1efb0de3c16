"""Runs whose budget is CPU time: the clock, how they end, and what their records say."""

import json
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from conflictopt import MultiLossOptimizer
from conflictopt.core.errors import MethodError, NonFiniteError
from conflictopt.core.plain_data import plain_data
from conflictopt.lab.problems import load_suite
from conflictopt.lab.runs.budget import BUDGETS
from conflictopt.lab.runs.timed import clock as clock_module
from conflictopt.lab.runs.timed import drivers, marks
from conflictopt.lab.runs.timed import run as timed_run
from conflictopt.lab.runs.timed.plain_step import PlainSteps
from conflictopt.lab.runs.timed.run import TimedRun
from conflictopt.lab.runs.timed.setup import Setup
from conflictopt.lab.runs.training import plan_identity, train
from conflictopt.methods.expression import MethodExpression

SMOKE = BUDGETS["smoke"]
PROBLEM = "heat_1d"


@pytest.fixture
def clock(monkeypatch):
    """A machine on which a plain step takes a second, and any step of a run six: of smoke's 60
    plain ones, ten."""

    class Clock:
        wall_s = cpu_s = 0.0
        step_s = 6.0

        @contextmanager
        def running(self):
            yield
            self.cpu_s += self.step_s

    monkeypatch.setattr(timed_run, "Stopwatch", Clock)
    monkeypatch.setattr(PlainSteps, "measure", lambda self: 1.0)
    return Clock


@pytest.fixture
def driven(monkeypatch):
    """Have steps do what is said instead of training."""

    def by(step):
        class Driver:
            def __init__(self, setup, method, seed, budget):
                self.setup = setup
                self.optimizer = MultiLossOptimizer(torch.optim.Adam(setup.parameters), "sum")

            def advance(self, spent):
                return step(self, spent)

            def best(self):
                return nullcontext()

            def notes(self):
                return {}

        monkeypatch.setitem(drivers.KINDS, "lbfgs", replace(drivers.KINDS["lbfgs"], make=Driver))

    return by


def run(method, problem=PROBLEM, seed=0, chosen=SMOKE):
    return train(load_suite()[problem], MethodExpression.parse(method), seed, chosen)


def fractions(record):
    return np.array(record["curve"]["plain_runs"])


METHODS = (
    "levenberg_marquardt",
    "levenberg_marquardt:rows=40+ntk",
    "lbfgs",
    "lbfgs:share=0.9+ntk",
    "adam+pcgrad+align",
    "soap:refresh=5+ntk+align:momentum=0.3",
)


@pytest.mark.parametrize("method", METHODS)
def test_records_are_complete_and_plain(method):
    problem = "inverse_wave_1d_noise2"
    record, plain = run(method, problem), run("none", problem)
    assert record.keys() - plain.keys() == {"timed"}
    assert not plain.keys() - record.keys()
    content = json.loads(json.dumps(plain_data(record, "null"), allow_nan=False))
    assert content["status"] == "ok"
    assert content["timed"]["plain_run_s"] == pytest.approx(60 * content["timed"]["plain_step_s"])
    assert content["timed"]["measured_steps_s"]
    assert content["timed"]["ended"] in ("time", "converged", "stuck")
    assert record["curve"]["step"][0] == 0
    assert record["curve"]["step"][-1] == record["steps"] > 0
    assert record["curve"]["cpu_time_s"][-1] == pytest.approx(record["cpu_time_s"], abs=1e-3)
    assert record["profile"] is record["diagnosis"] is record["plan"] is None
    assert len({len(v) for v in record["curve"]["losses"].values()}) == 1
    assert 0 < record["unknowns"]["csq"]["found"] != 1.0


def test_identity_is_known_before_training():
    problem, method = load_suite()[PROBLEM], MethodExpression.parse("lbfgs:share=0.25:horizon=0.5")
    identity = plan_identity(problem, method, 1, SMOKE)
    record = train(problem, method, 1, SMOKE)
    assert {k: record[k] for k in identity} == identity
    assert record["options"] == {"lbfgs": {"share": 0.25, "horizon": 0.5}}
    assert record["settings"]["optimizer"] == "adam, then lbfgs"


def test_settings_of_other_methods_are_as_they_were():
    plain = plan_identity(load_suite()[PROBLEM], MethodExpression.parse("none"), 0, SMOKE)
    assert plain["settings"]["optimizer"] == "adam"
    assert "dtype" not in plain["settings"]


@pytest.mark.parametrize("method", ["levenberg_marquardt", "lbfgs"])
def test_every_run_starts_from_the_plain_runs_points_and_weights(method):
    """Whatever was measured before."""
    problem = load_suite()["inverse_wave_1d_noise2"]
    made = TimedRun(problem, MethodExpression.parse(method), 3, SMOKE)._driver.setup
    plain = Setup.of(problem, 3, SMOKE)
    for mine, theirs in zip(made.parameters, plain.parameters, strict=True):
        assert torch.equal(mine.float(), theirs)
    assert made.losses() == pytest.approx(plain.losses(), rel=1e-4)


def test_global_random_state_is_untouched():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run("levenberg_marquardt")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_takes_its_time_and_is_looked_at_on_the_way(clock):
    record = run("lbfgs")
    assert record["steps"] == 10
    assert record["cpu_time_s"] == 60.0
    assert record["timed"]["spent"] == pytest.approx(1.0)
    assert record["timed"]["plain_run_s"] == pytest.approx(60.0)
    assert record["timed"]["ended"] == "time"
    assert set(fractions(record)) >= {0.0, 0.1, 0.2, 0.5, 1.0}
    assert record["timed"]["adam_steps"] == 5
    assert 25 < record["timed"]["iterations"] <= 50


def test_a_longer_run_is_the_shorter_one_and_goes_on(clock):
    short, long = run("lbfgs"), run("lbfgs:horizon=3")
    assert long["steps"] == 30
    assert long["timed"]["adam_steps"] == 5
    assert set(fractions(long)) >= {0.5, 1.0, 2.0, 3.0}
    at_end = list(fractions(long)).index(1.0)
    for output, errors in short["curve"]["relative_l2"].items():
        assert errors[-1] == long["curve"]["relative_l2"][output][at_end]


def test_a_step_that_would_end_too_late_is_not_taken(clock):
    clock.step_s = 40.0
    record = run("lbfgs:horizon=1.9")
    assert record["steps"] == 2
    assert record["cpu_time_s"] == 80.0
    assert fractions(record).tolist() == pytest.approx([0, 40 / 60, 80 / 60], abs=1e-4)


def test_the_first_step_is_taken_however_long(clock):
    clock.step_s = 1000.0
    assert run("lbfgs")["steps"] == 1


def test_the_schedule_of_adam_is_the_budgets_in_less_time(clock):
    """A share of 1e-6 of L-BFGS, and steps as long as plain ones: the plain run, nearly."""
    clock.step_s = 1.0
    problem, method = load_suite()[PROBLEM], MethodExpression.parse("lbfgs:share=1e-6")
    made = TimedRun(problem, method, 0, SMOKE)
    assert made.loop() is None
    plain = Setup.of(problem, 0, SMOKE)
    adam = torch.optim.Adam(plain.parameters, lr=SMOKE.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, SMOKE.rate)
    for _ in range(SMOKE.steps):
        adam.zero_grad()
        plain.objective().together().total().backward()
        adam.step()
        schedule.step()
    for mine, theirs in zip(made._driver.setup.parameters, plain.parameters, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("ending", ["converged", "stuck"])
def test_a_run_may_end_by_itself(clock, driven, ending):
    driven(lambda driver, spent: ending if spent >= 0.3 else None)
    record = run("lbfgs")
    assert (record["status"], record["timed"]["ended"], record["steps"]) == ("ok", ending, 4)
    assert fractions(record)[-1] == pytest.approx(0.4)


def test_a_run_that_diverges_has_a_record(clock, driven):
    def step(driver, spent):
        if spent > 0.25:
            raise NonFiniteError("the loss of 'pde' is nan")

    driven(step)
    record = run("lbfgs")
    assert record["status"] == record["timed"]["ended"] == "diverged"
    assert record["message"] == "step 3: the loss of 'pde' is nan"
    assert record["error"] is None
    assert json.dumps(plain_data(record, "null"), allow_nan=False)


def test_a_result_that_is_not_finite_diverged(clock, driven):
    @torch.no_grad()
    def step(driver, spent):
        for p in driver.setup.net.parameters():
            p.fill_(float("nan"))

    driven(step)
    assert run("lbfgs")["status"] == "diverged"


def test_the_clock_follows_the_machine():
    """Twice as slow from the second tenth of T on, the run has twice the seconds."""
    costs = iter([1.0, 2.0, 2.0])
    made = clock_module.PlainClock(lambda: next(costs), 100)
    assert made.add(5.0) == 0.05
    assert made.plain_run_s == pytest.approx(100)
    assert made.add(5.0) == 0.05
    assert made.add(5.0) == pytest.approx(0.025)
    assert made.spent == pytest.approx(0.125)
    assert made.measured == [1.0, 2.0]
    assert made.plain_run_s == pytest.approx(15 / 0.125)


def test_noted_parts_of_the_time():
    found = marks.noted_fractions(3.0, 40)
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.01)
    assert set(marks.FRACTIONS) <= set(found)
    assert marks.noted_fractions(0.005, 3)[-1] == pytest.approx(0.005)


def test_marks_are_passed_once():
    made = marks.Marks([1.0, 2.0, 3.0])
    assert [made.passed(t) for t in (0.5, 1.0, 1.1, 1.5, 4.0, 5.0)] == [0, 0, 1, 0, 1, 0]


def test_measuring_takes_the_median_of_blocks(monkeypatch):
    made = PlainSteps(load_suite()[PROBLEM], 0, SMOKE)
    blocks = iter([0.07] * 8 + [9.0] * 7 + [0.14] * 4)
    monkeypatch.setattr(made, "_block", lambda: next(blocks))
    assert made.measure() == pytest.approx(0.01)
    assert made.measure() == pytest.approx(0.02)


def test_measured_steps_are_the_plain_runs():
    problem = load_suite()[PROBLEM]
    setup, made = Setup.of(problem, 0, SMOKE), PlainSteps(problem, 0, SMOKE)
    assert made.measure() > 0
    assert made._setup.losses() != setup.losses()
    assert made._adam.param_groups[0]["lr"] < SMOKE.learning_rate


@pytest.mark.parametrize(
    "method", ["levenberg_marquardt+pcgrad", "lbfgs+adapters", "lbfgs+levenberg_marquardt"]
)
def test_methods_that_do_not_go_with_an_optimizer_are_refused(method):
    with pytest.raises(MethodError):
        run(method)


def test_adam_goes_first_for_its_share():
    shares = ("", ":warm=0.5", ":warm=0.0")
    usual, warm, cold = (run(f"levenberg_marquardt{share}") for share in shares)
    assert warm["timed"]["adam_steps"] > usual["timed"]["adam_steps"] > 0
    assert cold["timed"]["adam_steps"] == 0
    assert warm["relative_l2"] != cold["relative_l2"]


def test_a_pool_gives_steps_other_points():
    few, many = run("levenberg_marquardt:pool=1"), run("levenberg_marquardt:pool=4")
    assert few["timed"]["ended"] == many["timed"]["ended"]
    assert few["curve"]["losses"] != many["curve"]["losses"]
