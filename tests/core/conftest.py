"""Losses and layouts without an optimizer around them, and what autograd says of them."""

from __future__ import annotations

import pytest
import torch

from conflictopt.core.buffer import RowBuffer
from conflictopt.core.gradients import GradientSource
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.losses import Losses
from conflictopt.core.objective import Given


@pytest.fixture(scope="session")
def source_of():
    """``source_of(losses, params, ...)``: a ``GradientSource`` of losses in any form."""

    def build(losses, params, engine="graph", buffer=RowBuffer, **options):
        given = Given(Losses.of(losses))
        return GradientSource(given, ParameterLayout.build(params), buffer, engine, **options)

    return build


@pytest.fixture(scope="session")
def brute_force():
    """``brute_force(losses, params)``: rows, and per loss and parameter whether one has any."""

    def jacobian(losses, params):
        rows, touched = [], []
        for loss in losses:
            grads = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
            touched.append([g is not None for g in grads])
            rows.append(
                torch.cat(
                    [
                        (torch.zeros_like(p) if g is None else g).reshape(-1)
                        for g, p in zip(grads, params, strict=True)
                    ]
                )
            )
        return torch.stack(rows), touched

    return jacobian
