"""Profiles with known angles and norms."""

from __future__ import annotations

import numpy as np
import pytest

from conflictopt import Profile


@pytest.fixture(scope="session")
def profile_of_rows():
    """``profile_of_rows(rows)``: a profile from the gradients ``[T, K, P]`` themselves."""

    def build(rows, losses=None):
        rows = np.asarray(rows, dtype=np.float64)
        t, k = rows.shape[:2]
        losses = np.ones((t, k)) if losses is None else np.asarray(losses, dtype=np.float64)
        gramians = rows @ rows.swapaxes(1, 2)
        return Profile(tuple("abcdef"[:k]), 10 * np.arange(t), losses, gramians)

    return build


@pytest.fixture(scope="session")
def profile_of_pair(profile_of_rows):
    """``profile_of_pair(cosines, ratio)``: two losses at these cosines, norms 1 and ``ratio``."""

    def build(cosines, ratio=1.0):
        c = np.asarray(cosines, dtype=np.float64)
        one = np.stack([np.ones_like(c), np.zeros_like(c)], axis=1)
        other = ratio * np.stack([c, np.sqrt(1 - c**2)], axis=1)
        return profile_of_rows(np.stack([one, other], axis=1))

    return build
