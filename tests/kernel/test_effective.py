"""What a step for one loss does to another, against steps that are taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import conflictopt
from conflictopt.kernel import tangent_kernel

STEP = 1e-6


@pytest.fixture
def adapted(small):
    """The small problem with trained-like adapters (nothing is zero)."""
    adapters = conflictopt.attach(small.net, small.names, rank=2)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in adapters.up:
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) * 0.5)
    return small


def values(problem):
    return np.array([float(v.detach()) for v in problem.losses().values()])


def decrease(problem, coefficients, size=STEP):
    """Per loss, how much it falls in one gradient step with these coefficients, per step size."""
    blocks = problem.blocks()
    params = [p for ps in blocks.values() for p in ps]
    start = [p.detach().clone() for p in params]
    rows = [
        torch.autograd.grad(loss, params, allow_unused=True) for loss in problem.losses().values()
    ]
    column = [b for b, ps in enumerate(blocks.values()) for _ in ps]

    def after(sign):
        with torch.no_grad():
            for i, p in enumerate(params):
                p.copy_(start[i])
                for k, grads in enumerate(rows):
                    if grads[i] is not None:
                        p -= sign * size * float(coefficients[k, column[i]]) * grads[i]
        return values(problem)

    found = (after(-1) - after(1)) / (2 * size)
    after(0)
    return found


@pytest.mark.parametrize("kind", ["shared", "exclusive", "mixed", "any"])
def test_against_a_step_of_gradient_descent(adapted, kind):
    kernel = tangent_kernel(adapted.residuals(), adapted.blocks())
    c = {
        "shared": kernel.routed(1.0),
        "exclusive": kernel.routed(),
        "mixed": kernel.routed(0.3),
        "any": np.random.default_rng(0).normal(size=(3, len(kernel.blocks))),
    }[kind]
    effect = kernel.effective(c)
    np.testing.assert_allclose(decrease(adapted, c), effect.sum(axis=1), rtol=1e-6, atol=1e-6)
    for j in range(3):  # a step for one loss alone is one column
        alone = np.where(np.arange(3)[:, None] == j, c, 0.0)
        np.testing.assert_allclose(decrease(adapted, alone), effect[:, j], rtol=1e-6, atol=1e-6)


def test_symmetric_only_where_routing_is_shared(adapted):
    kernel = tangent_kernel(adapted.residuals(), adapted.blocks())
    shared, exclusive = kernel.effective(), kernel.effective(kernel.routed())
    np.testing.assert_allclose(shared, shared.T)
    np.testing.assert_allclose(shared, kernel.gramian())
    np.testing.assert_allclose(kernel.interference(), kernel.cosines())
    assert np.abs(exclusive - exclusive.T).max() > 1e-3
    mixed = kernel.effective(kernel.routed(0.25))
    np.testing.assert_allclose(mixed, 0.25 * shared + 0.75 * exclusive, rtol=1e-12)


def test_coefficients_by_loss_are_those_of_every_block(adapted):
    kernel = tangent_kernel(adapted.residuals(), adapted.blocks())
    c = np.array([1.0, 0.0, -2.0])
    np.testing.assert_allclose(kernel.effective(c), kernel.gramian() * c)
    assert np.isnan(kernel.interference(c)[1:]).all()
    with pytest.raises(conflictopt.MethodError, match=r"expected coefficients \[3\] or \[3, 7\]"):
        kernel.effective(np.ones((7, 3)))


@pytest.mark.parametrize(("options", "others"), [({"routing": "exclusive"}, 0.0), ({}, 1.0)])
def test_routed_are_the_coefficients_of_the_method(adapted, options, others):
    params = [p for ps in adapted.blocks().values() for p in ps]
    adapters = conflictopt.adapters.attached(adapted.net)
    opt = conflictopt.MultiLossOptimizer(
        torch.optim.SGD(params, lr=0.0),
        conflictopt.make("adapters", **options),
        blocks=adapters.blocks(),
    )
    opt.step(adapted.losses())
    kernel = tangent_kernel(adapted.residuals(), adapted.blocks())
    chosen = opt.last.coefficients
    if chosen.ndim == 1:
        np.testing.assert_allclose(kernel.routed(others), np.ones((3, 7)))
        assert chosen.tolist() == [1, 1, 1]
        return
    by_block = dict(zip(opt.layout().names, chosen.T.tolist(), strict=True))
    for b, column in zip(kernel.blocks, kernel.routed(others).T.tolist(), strict=True):
        assert column == by_block["network" if b.startswith("network/") else b]
