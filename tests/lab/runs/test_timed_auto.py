"""``auto`` in a study: the plain run's profile, then steps on residuals in the time left."""

from dataclasses import replace

import pytest
import torch

from conflictopt import LevenbergMarquardt
from conflictopt.auto import stage as stage_module
from conflictopt.lab.problems import load_suite
from conflictopt.lab.runs.budget import BUDGETS
from conflictopt.lab.runs.timed.auto import AutoDriver
from conflictopt.lab.runs.timed.drivers import kind_of
from conflictopt.lab.runs.timed.setup import Setup
from conflictopt.lab.runs.training import train
from conflictopt.methods.expression import MethodExpression
from conflictopt.selection import curvature_case

SMOKE = replace(BUDGETS["smoke"], steps=140)
PROFILE = 100
AUTO = MethodExpression.parse("auto")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """As many steps are enough."""
    monkeypatch.setattr(curvature_case, "LEAST_ITERATIONS", 1)
    monkeypatch.setattr(stage_module, "LEAST_STEPS", 0)
    monkeypatch.setattr(stage_module, "LEAST_OF_SOAP", -(10**9))


@pytest.fixture
def sampled(monkeypatch):
    """A profile that is sampled in every second step, so that plain ones are timed too."""
    text = "auto:profile_steps=100"
    monkeypatch.setattr("conflictopt.diagnosis.recorder.sampling", lambda steps, every=None: 2)
    monkeypatch.setattr("conflictopt.auto.options.sampling", lambda steps, every=None: 2)
    return MethodExpression.parse(text)


def made(problem="heat_1d", method=AUTO):
    setup = Setup.of(load_suite()[problem], 0, SMOKE)
    return AutoDriver(setup, method, 0, SMOKE)


def advanced(driver, steps):
    for i in range(steps):
        driver.advance(i / SMOKE.steps)
    return driver


def values(driver):
    return [p.detach().clone() for p in driver.setup.parameters]


def test_the_profile_is_bitwise_the_plain_run(sampled):
    driver = advanced(made(method=sampled), PROFILE)
    plain = Setup.of(load_suite()["heat_1d"], 0, SMOKE)
    adam = torch.optim.Adam(plain.parameters, lr=SMOKE.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, SMOKE.rate)
    for _ in range(PROFILE):
        adam.zero_grad()
        plain.objective().together().total().backward()
        adam.step()
        schedule.step()
    for mine, theirs in zip(driver.setup.parameters, plain.parameters, strict=True):
        assert torch.equal(mine.float(), theirs)


def test_then_steps_are_on_residuals_in_float64_of_more_points(sampled):
    driver = advanced(made(method=sampled), PROFILE)
    assert driver.controller.plan.curvature
    assert {p.dtype for p in driver.setup.parameters} == {torch.float64}
    before = sum(driver.setup.losses())
    advanced(driver, 12)
    assert len(driver.controller.stage.pace.taken) == 12
    assert driver.notes()["steps_on_residuals"] == 12
    with driver.best():
        assert sum(driver.setup.losses()) < 0.1 * before


def test_steps_on_residuals_that_fail_return_to_float32_and_to_first_order_ones(
    sampled, monkeypatch
):
    driver = advanced(made(method=sampled), PROFILE)
    before = values(driver)
    monkeypatch.setattr(LevenbergMarquardt, "step", lambda *_: 1 / 0)
    driver.advance(0.8)
    assert not driver.controller.stage.by_residuals
    assert driver.controller.trained_with[-1][1] == "SOAP"
    for mine, kept in zip(driver.setup.parameters, before, strict=True):
        assert torch.equal(mine, kept.float())
    driver.advance(0.8)
    assert not torch.equal(driver.setup.parameters[0], before[0].float())
    assert {p.dtype for p in driver.setup.parameters} == {torch.float32}
    assert driver.notes()["first_order_steps"] == 1


def test_measurements_are_those_of_the_problem(sampled):
    driver = advanced(made("inverse_wave_1d_noise2", sampled), PROFILE)
    stage = driver.controller.stage
    assert stage.part.measurements.names == load_suite()["inverse_wave_1d_noise2"].measured


def test_its_record_says_what_it_did(sampled):
    record = train(load_suite()["heat_1d"], sampled, 0, replace(SMOKE, steps=600))
    assert record["status"] == "ok"
    assert record["plan"]["kind"].startswith("curvature")
    assert record["trained_with"][0] == (0, "Sum")
    assert record["trained_with"][1][1].startswith("LevenbergMarquardt")
    assert record["decisions"][0]["step"] == PROFILE
    assert record["diagnosis"] is not None
    assert record["settings"]["optimizer"] == "adam, then the plan's"
    assert record["timed"]["adam_steps"] == PROFILE
    assert record["timed"]["steps_on_residuals"] > 0


@pytest.mark.parametrize(
    ("text", "timed"),
    [
        ("auto", True),
        ("auto:profile_steps=60", True),
        ("auto:curvature=False", False),
        ("auto:reweighting=ntk", False),
        ("auto:rank=2", False),
        ("none", False),
        ("adam", True),
    ],
)
def test_which_runs_are_timed(text, timed):
    assert (kind_of(MethodExpression.parse(text)) is not None) == timed
