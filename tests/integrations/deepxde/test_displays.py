"""When DeepXDE displayed what, in the seconds of training."""

from __future__ import annotations

import pytest

from conflictopt.integrations.deepxde import patch
from integrations.deepxde.model_training import ModelTraining


def test_displays_are_noted_when_they_are_made_and_not_a_step_later(heat):
    model = heat()
    made = patch(model, "sum")
    training = ModelTraining(made)
    missing = []
    history = model.losshistory
    made.before_step.append(lambda _: missing.append(len(history.steps) - len(training.displayed)))
    model.compile("adam", lr=1e-3, verbose=0, metrics=[])
    for _ in range(2):
        with training.call():
            model.train(iterations=4, display_every=2, verbose=0)
    outcome = training.outcome("sum")
    seconds = outcome.displays.seconds
    assert missing == [0] * 8
    assert len(seconds) == len(outcome.displays.train_loss) == len(history.steps) == 6
    assert 0 < seconds[0] <= seconds[-1] <= outcome.wall_time_s
    assert seconds == sorted(seconds)
    assert outcome.displays.train_loss[-1] == pytest.approx(sum(outcome.train_loss.values()))
