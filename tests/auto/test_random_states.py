"""Draws apart leave the global random states alone."""

import random

import numpy as np
import pytest
import torch

from conflictopt.auto.random_states import RandomStates, drawn_apart

DRAWS = {
    "torch": lambda: torch.rand(3).tolist(),
    "numpy": lambda: np.random.rand(3).tolist(),  # noqa: NPY002
    "python": random.random,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_draw_is_noticed_and_taken_back(draw):
    before = RandomStates()
    assert not before.moved()
    first = draw()
    assert before.moved()
    before.restore()
    assert not before.moved()
    assert draw() == first


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_apart_follow_their_seed_alone(draw):
    before = RandomStates()
    found = []
    for seed in (1, 1, 2):
        with drawn_apart(seed):
            found.append(draw())
        draw()
    assert found[0] == found[1] != found[2]
    before.restore()

    def fail():
        with drawn_apart(1):
            draw()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not before.moved()
