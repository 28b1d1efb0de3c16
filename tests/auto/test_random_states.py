"""What draws from the global random states is taken back."""

import random

import numpy as np
import pytest
import torch

from conflictopt.auto.random_states import RandomStates

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
    before.restore()
