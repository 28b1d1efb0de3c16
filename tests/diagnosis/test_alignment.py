"""Cancellation ratio and alignment score: identities and edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conflictopt.diagnosis.alignment import agreement, alignment, cancellation

few = settings(max_examples=40, deadline=None, derandomize=True)
seeds, counts = st.integers(0, 10**6), st.integers(1, 6)


def gradients(seed, count, samples=4, dimension=3):
    return np.random.default_rng(seed).standard_normal((samples, count, dimension))


@few
@given(seed=seeds, count=counts)
def test_both_against_the_gradients_themselves(seed, count, profile_of_rows):
    rows = gradients(seed, count)
    norms = np.linalg.norm(rows, axis=2)
    units = rows / norms[:, :, None]
    summed = np.linalg.norm(rows.sum(axis=1), axis=1) / norms.sum(axis=1)
    profile = profile_of_rows(rows)
    np.testing.assert_allclose(cancellation(profile), summed, atol=1e-7)
    score = 2 * np.square(units.mean(axis=1)).sum(axis=1) - 1
    np.testing.assert_allclose(alignment(profile), score, atol=1e-12)


@few
@given(seed=seeds)
def test_the_alignment_of_two_gradients_is_their_cosine(seed, profile_of_rows):
    profile = profile_of_rows(gradients(seed, 2) * [[1e-3], [1e5]])
    np.testing.assert_allclose(alignment(profile), profile.cosines[:, 0, 1], atol=1e-12)


@few
@given(seed=seeds, count=counts)
def test_scales(seed, count, profile_of_rows):
    """One common factor changes neither, a factor per loss not the alignment."""
    rows = gradients(seed, count)
    each = 10.0 ** np.random.default_rng(seed).integers(-3, 4, count)[:, None]
    plain, common, own = map(profile_of_rows, (rows, 1e-6 * rows, each * rows))
    np.testing.assert_allclose(cancellation(common), cancellation(plain), rtol=1e-6)
    np.testing.assert_allclose(alignment(common), alignment(plain), atol=1e-12)
    np.testing.assert_allclose(alignment(own), alignment(plain), atol=1e-9)


@pytest.mark.parametrize("count", [2, 4, 5])
def test_equal_opposed_and_orthogonal_gradients(count, profile_of_rows):
    equal = np.ones((1, count, 2))
    opposed = equal * np.where(np.arange(count) % 2, 1.0, -1.0)[:, None]
    if count % 2:
        opposed[:, 0] = 0.0
    orthogonal = np.eye(count)[None]
    found = [(cancellation(p)[0], alignment(p)[0]) for p in map(profile_of_rows, (equal, opposed))]
    assert found == [(pytest.approx(1), pytest.approx(1)), (0.0, pytest.approx(-1))]
    assert alignment(profile_of_rows(orthogonal))[0] == pytest.approx(2 / count - 1)
    assert cancellation(profile_of_rows(orthogonal))[0] == pytest.approx(count**-0.5)


def test_losses_without_gradient_are_left_out(profile_of_rows):
    rows = [[[1.0, 0.0], [0.6, 0.8], [0.0, 0.0]], [[0.0, 2.0], [0.0, 0.0], [0.0, 0.0]]]
    np.testing.assert_allclose(alignment(profile_of_rows(rows)), [0.6, 1.0])
    np.testing.assert_allclose(cancellation(profile_of_rows(rows)), [np.sqrt(3.2) / 2, 1.0])


def test_no_gradient_at_all(profile_of_rows):
    profile = profile_of_rows(np.zeros((3, 2, 2)))
    assert np.isnan(alignment(profile)).all()
    assert np.isnan(cancellation(profile)).all()
    found = agreement(profile)
    assert (found.cancellation, found.alignment) == (1.0, 1.0)


def test_means_over_all_and_over_the_last_half(profile_of_pair):
    found = agreement(profile_of_pair([-1.0, -1.0, 1.0, 1.0]))
    assert (found.alignment, found.alignment_late) == (pytest.approx(0), pytest.approx(1))
    assert (found.cancellation, found.cancellation_late) == (pytest.approx(0.5), pytest.approx(1))
