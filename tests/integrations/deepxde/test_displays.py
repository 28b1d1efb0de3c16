"""When DeepXDE displayed what, in the seconds of training."""

from __future__ import annotations

import time

import pytest

from conflictopt.integrations.deepxde import patch
from integrations.deepxde.model_training import ModelTraining

PAUSE = 0.05


def test_displays_are_noted_when_they_are_made_and_not_a_step_later(heat):
    model = heat()
    made = patch(model, "sum")
    training = ModelTraining(made)
    made.on_step.append(lambda _: time.sleep(PAUSE))
    model.compile("adam", lr=1e-3, verbose=0, metrics=[])
    for _ in range(2):
        with training.call():
            model.train(iterations=4, display_every=2, verbose=0)
    outcome = training.outcome("sum")
    seconds = outcome.displays.seconds
    assert len(seconds) == len(outcome.displays.train_loss) == len(model.losshistory.steps) == 6
    steps = [0, 2, 4, 4, 6, 8]
    expected = [PAUSE * step for step in steps]
    assert all(s >= e for s, e in zip(seconds, expected, strict=True))
    assert seconds[0] < PAUSE
    assert seconds[3] - seconds[2] < PAUSE
    assert seconds[-1] <= outcome.wall_time_s
    assert outcome.displays.train_loss[-1] == pytest.approx(sum(outcome.train_loss.values()))
