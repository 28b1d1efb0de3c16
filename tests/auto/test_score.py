"""The score is scale-free and cannot be bought by one loss."""

import math

import numpy as np
import pytest

from conflictopt import Profile
from conflictopt.auto.host import HeldOut
from conflictopt.auto.score import reference_of, relative_loss_sum


def found(**losses):
    return HeldOut(losses, tuple(n for n in losses if n != "pde"))


def test_a_factor_on_a_loss_cancels():
    plain = relative_loss_sum(found(pde=0.5, bc=0.1), {"pde": 2.0, "bc": 1.0})
    scaled = relative_loss_sum(found(pde=0.5e6, bc=0.1), {"pde": 2.0e6, "bc": 1.0})
    assert plain == pytest.approx(scaled)
    assert plain == pytest.approx(math.log(0.25 + 0.1))


def test_a_collapsing_equation_does_not_win():
    reference = {"pde": 1.0, "bc": 1.0}
    collapsed = found(pde=1e-12, bc=0.9)
    balanced = found(pde=1e-2, bc=1e-2)
    assert relative_loss_sum(balanced, reference) < relative_loss_sum(collapsed, reference)
    # the geometric mean says the opposite
    assert 1e-12 * 0.9 < 1e-2 * 1e-2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_loses(value):
    assert relative_loss_sum(found(pde=1e-3, bc=value), {"pde": 1.0}) == math.inf


def test_the_reference_is_the_first_sample_where_that_says_something():
    losses = np.array([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.5, 0.2, 0.0]])
    profile = Profile(("pde", "bc", "ic"), np.arange(3), losses, np.ones((3, 3, 3)))
    assert reference_of(profile) == {"pde": 2.0, "bc": 0.5}


def test_all_solved():
    assert relative_loss_sum(found(pde=0.0, bc=0.0), {"pde": 1.0, "bc": 1.0}) == -math.inf
