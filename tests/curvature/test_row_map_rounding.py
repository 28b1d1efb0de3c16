"""Rounding is not taken for coupling, nor coupling for rounding."""

from __future__ import annotations

import pytest
import torch

from conflictopt.curvature.capture import Factors
from conflictopt.curvature.mapping import row_map


def of_passes(disturbance, rows=30):
    """The map of rows that depend on one batch row each, the second pass disturbed."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(rows, 8, generator=generator, dtype=torch.float64)
    order = torch.randperm(rows, generator=generator)
    seeds = 1 + (order + 1.0).double() / (rows + 1)
    noise = torch.randn(rows, 8, generator=generator, dtype=torch.float64)
    seeded = left * seeds[:, None] + disturbance * noise
    return row_map(Factors(left, None), Factors(seeded, None), seeds)


def test_cancellation_late_in_training_is_no_coupling():
    # thousands of units in the last place: met with advection_beta10 of the suite, after 76 steps
    found = of_passes(2e-12)
    assert found is not None
    assert found.index is None


@pytest.mark.parametrize("strength", [1e-7, 1e-3, 1.0])
def test_coupling_is_found(strength):
    assert of_passes(strength) is None
