"""When a situation departs from the default: rarely by chance, reliably where it should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conflictopt.lab.calibration.choosing import default_of, divided, fit
from conflictopt.lab.calibration.evidence import Evidence
from conflictopt.lab.calibration.student import student_interval
from conflictopt.selection.plan_template import PlanTemplate

SIZES = {"persistent": 14, "magnitude": 18, "benign": 10}


def made(rng_seed, effects, seeds=1, noise=0.5, sizes=SIZES):
    """Logs of normal noise plus ``effects``: per situation one number per candidate."""
    rng = np.random.default_rng(rng_seed)
    where = [name for name, size in sizes.items() for _ in range(size * seeds)]
    shift = np.array([effects[name] for name in where]).T
    logs = rng.normal(0, noise, shift.shape) + shift
    problems = len(where) // seeds
    evidence = Evidence(
        labels=tuple(f"m{i}" for i in range(len(logs))),
        templates=(PlanTemplate("none"),) * len(logs),
        problems=tuple(map(str, range(problems))),
        of_problem=np.repeat(np.arange(problems), seeds),
        seeds=np.tile(np.arange(seeds), problems),
        logs=logs - logs[0],
        broken=np.zeros((len(logs), problems), dtype=bool),
        profiles=(),
        left_out={},
        notes=(),
        source="",
    )
    return evidence, where


def departs(evidence, where):
    every = np.arange(len(evidence.problems))
    default = default_of(evidence, every)
    return any(c.method != default for c in fit(evidence, divided(evidence, where), every).values())


@pytest.mark.parametrize("count", [3, 8])
def test_noise_departs_in_about_one_study_of_twenty(count):
    effects = dict.fromkeys(SIZES, np.zeros(count))
    found = [departs(*made(i, effects)) for i in range(200)]
    assert np.mean(found) <= 0.08


def test_halved_errors_are_nearly_always_found():
    half = math.log(0.5)
    effects = {"persistent": [0, half, 0], "magnitude": [0, 0, half], "benign": [0, 0, half]}
    found = [departs(*made(i, effects, noise=0.3)) for i in range(100)]
    assert np.mean(found) >= 0.9


def test_candidates_are_paid_for():
    """The more candidates, the wider the interval that must exclude 1."""
    half = math.log(0.5)
    few = {"persistent": [0, half, 0], "magnitude": [0, 0, half], "benign": [0, 0, half]}
    many = {name: [*row, *[3.0] * 10] for name, row in few.items()}
    levels = []
    for effects in (few, many):
        evidence, where = made(0, effects, noise=0.1)
        every = np.arange(len(evidence.problems))
        levels.append(fit(evidence, divided(evidence, where), every)["persistent"].level)
    assert levels == pytest.approx([1 - 0.05 / 3 / 2, 1 - 0.05 / 3 / 12])


def test_problems_count_alike_whatever_their_seeds():
    """A problem of nine seeds has no more say than one of a single seed."""
    evidence, where = made(0, dict.fromkeys(SIZES, np.zeros(3)))
    repeat = np.where(evidence.of_problem == 3, 9, 1)
    heavier = Evidence(
        **{
            **{f: getattr(evidence, f) for f in Evidence.__dataclass_fields__},
            "of_problem": np.repeat(evidence.of_problem, repeat),
            "seeds": np.repeat(evidence.seeds, repeat),
            "logs": np.repeat(evidence.logs, repeat, axis=1),
        }
    )
    every = np.arange(len(evidence.problems))
    one = fit(evidence, divided(evidence, where), every)
    other = fit(heavier, divided(heavier, list(np.repeat(where, repeat))), every)
    for name, choice in one.items():
        assert (choice.method, choice.problems) == (other[name].method, other[name].problems)
        assert choice.gain == (pytest.approx(other[name].gain) if choice.gain else None)


def test_the_interval_is_students():
    found = student_interval(np.array([1.0, 2.0, 3.0, 4.0]), 0.95)
    # t_3(0.975) = 3.18245, s = 1.29099
    assert found.low == pytest.approx(2.5 - 3.18245 * 1.29099 / 2, abs=1e-4)
    assert found.high == pytest.approx(2.5 + 3.18245 * 1.29099 / 2, abs=1e-4)
    same = student_interval(np.full(5, -0.3), 0.99)
    assert (same.low, same.high) == (-0.3, -0.3)
