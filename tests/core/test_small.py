"""Small solutions in plain numbers, against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conflictopt.methods.small_linalg import solve_for_ones, sumprod


def unit_gramian(seed, count, size):
    u = np.random.default_rng(seed).standard_normal((count, size))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    return u, u @ u.T


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 32), extra=st.integers(0, 8))
def test_solves_for_ones(seed, count, extra):
    _, gram = unit_gramian(seed, count, 2 * count + extra)
    expected = np.linalg.solve(gram, np.ones(count))
    np.testing.assert_allclose(solve_for_ones(gram.tolist()), expected, rtol=1e-8, atol=1e-10)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), count=st.integers(3, 8))
def test_dependent_rows_give_the_least_squares_solution(seed, count):
    u, gram = unit_gramian(seed, count, 2)
    expected = np.linalg.pinv(u, rcond=1e-6) @ np.ones(count)
    found = u.T @ np.array(solve_for_ones(gram.tolist()))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-5, 1e-7])
def test_nearly_opposed(gap):
    cosine = -1 + gap
    alpha = solve_for_ones([[1.0, cosine], [cosine, 1.0]])
    assert alpha == pytest.approx([1 / gap, 1 / gap], rel=1e-6)


def test_sumprod_stops_with_the_shorter():
    assert sumprod([2.0, 3.0], [4.0]) == 8.0
