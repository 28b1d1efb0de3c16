"""Against Jacobians by brute force, and what must hold for any kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conflictopt import MultiLossOptimizer, Recorder
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.losses import Losses
from conflictopt.core.residual_traces import exact_trace
from conflictopt.diagnosis.recorder import profile_of
from conflictopt.kernel import blocks_of_layout, tangent_kernel


@pytest.fixture
def kernel(small):
    return tangent_kernel(small.residuals(), small.blocks())


def test_every_block_is_that_of_the_jacobians(small, kernel):
    values, jacobians = small.jacobians()
    assert kernel.kind == "exact"
    assert kernel.blocks == ("network/0", "network/1", "network/2", "physics")
    assert kernel.sizes == (10, 5, 4)
    for k in small.names:
        for j in small.names:
            for b in kernel.blocks:
                want = jacobians[k][b] @ jacobians[j][b].T
                np.testing.assert_allclose(kernel.matrix(k, j, b), want, atol=1e-11)
    np.testing.assert_allclose(kernel.losses, [v @ v for v in values.values()], rtol=1e-13)


def test_gramian_is_the_quadratic_form_of_the_kernel(small, kernel):
    values, _ = small.jacobians()
    for b in (*kernel.blocks, None, "trunk"):
        want = [
            [4 * values[k] @ kernel.matrix(k, j, b) @ values[j] for j in small.names]
            for k in small.names
        ]
        np.testing.assert_allclose(kernel.gramian(b), want, rtol=1e-10, atol=1e-10)


def test_gramian_is_that_of_a_profile(small, kernel):
    recorder = Recorder(steps=1, every=1)
    sgd = torch.optim.SGD([*small.net.parameters(), small.nu], lr=0.1)
    opt = MultiLossOptimizer(sgd, recorder)
    opt.step(small.losses())
    profile = profile_of(opt.session.state, opt.session.names)
    # profiles look at the trunk, not at unknowns
    np.testing.assert_allclose(profile.gramians[0], kernel.gramian("trunk"), rtol=1e-10)


def test_summaries_are_those_of_the_matrices(kernel):
    for b in (*kernel.blocks, None, "trunk"):
        parts = [[kernel.matrix(k, j, b) for j in kernel.names] for k in kernel.names]
        norms = [[np.linalg.norm(m) for m in row] for row in parts]
        np.testing.assert_allclose(kernel.norm(b), norms, rtol=1e-7, atol=1e-7)
        traces = [np.trace(parts[k][k]) for k in range(3)]
        np.testing.assert_allclose(kernel.trace(b), traces, rtol=1e-12, atol=1e-12)


def test_traces_are_those_of_the_ntk_method(small, kernel):
    layout = ParameterLayout.build([*small.net.parameters(), small.nu], by_layer=True)
    losses = Losses.of(small.losses(), small.residuals())
    for b in kernel.blocks:
        want = [exact_trace(losses.residual_pairs(k), layout, layout.columns(b)) for k in range(3)]
        np.testing.assert_allclose(kernel.trace(b), want, rtol=1e-12, atol=1e-12)
    again = tangent_kernel(losses.residuals, blocks_of_layout(layout))
    np.testing.assert_allclose(again.traces, kernel.traces, rtol=1e-12, atol=1e-12)


def test_symmetric_positive_and_additive(kernel):
    whole = sum(kernel.matrices)
    for m in (*kernel.matrices, whole):
        np.testing.assert_allclose(m, m.T, atol=1e-12)
        assert np.linalg.eigvalsh(m)[0] > -1e-10 * np.abs(m).max()
    np.testing.assert_allclose(kernel.gramian(), kernel.gramians.sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(
        kernel.gramian(), kernel.gramian("trunk") + kernel.gramian("physics"), rtol=1e-12
    )
    np.testing.assert_allclose(kernel.coupling_shares().sum(axis=0), np.ones((3, 3)), rtol=1e-10)
    np.testing.assert_allclose(kernel.gradient_shares().sum(axis=0), np.ones((3, 3)), rtol=1e-10)
    cosines = sum(kernel.cosines(b) for b in kernel.blocks)
    np.testing.assert_allclose(cosines, kernel.cosines(), atol=1e-12)
    np.testing.assert_allclose(cosines.diagonal(), 1.0)


def test_losses_in_another_order_are_the_same_kernel_permuted(small, kernel):
    order = [2, 0, 1]
    given = small.residuals()
    other = tangent_kernel({small.names[k]: given[small.names[k]] for k in order}, small.blocks())
    for name in ("coupling", "cosines", "gramian", "norm", "effective", "interference"):
        want = getattr(kernel, name)()[np.ix_(order, order)]
        np.testing.assert_allclose(getattr(other, name)(), want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other.trace(), kernel.trace()[order], rtol=1e-12)


def test_one_loss(small):
    kernel = tangent_kernel({"bc": small.residuals()["bc"]}, small.blocks())
    assert kernel.coupling().tolist() == pytest.approx(np.ones((1, 1)))
    assert kernel.effective().shape == (1, 1)


def test_a_loss_that_does_not_reach_a_block_has_zeros_there(kernel):
    assert not kernel.matrix("bc", "pde", "physics").any()
    assert kernel.trace("physics")[0] > 0
    assert kernel.trace("physics")[1:].tolist() == [0, 0]
    np.testing.assert_allclose(kernel.coupling("physics")[0], [1, 0, 0])
    assert not kernel.cosines("physics")[1].any()


def test_no_adapters_are_zeros(kernel):
    assert not kernel.coupling("adapters").any()
    assert not kernel.gramian("adapters").any()


def test_weights_and_several_tensors(small):
    r = small.residuals()
    pairs = {"pde": [(r["pde"][0], 4.0), (r["pde"][1], 0.0)], "bc": r["bc"]}
    kernel = tangent_kernel(pairs, small.blocks())
    scaled = tangent_kernel({"pde": 2 * r["pde"][0], "bc": r["bc"]}, small.blocks())
    np.testing.assert_allclose(kernel.gramian(), scaled.gramian(), rtol=1e-12)
    np.testing.assert_allclose(kernel.products, scaled.products, rtol=1e-12)
    assert kernel.sizes[0] == scaled.sizes[0] + 3


def test_scaling_a_loss_leaves_the_coupling(small, kernel):
    r = small.residuals()
    other = tangent_kernel({**r, "bc": 1e5 * r["bc"]}, small.blocks())
    np.testing.assert_allclose(other.coupling(), kernel.coupling(), rtol=1e-7)
    np.testing.assert_allclose(other.cosines(), kernel.cosines(), rtol=1e-9)


def test_nothing_else_is_touched(small):
    kept = torch.full_like(small.nu, 5.0)
    small.nu.grad = kept
    state, residuals = torch.get_rng_state(), small.residuals()
    with torch.no_grad():
        tangent_kernel(residuals, small.blocks(), rows=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert small.nu.grad is kept
    assert kept == 5.0
    assert all(p.grad is None for p in small.net.parameters())
    sum(r.square().mean() for r in residuals["pde"]).backward()  # the graph is still there


def test_float32_agrees_to_its_rounding(small, kernel):
    net, nu, x = small.net, small.nu, small.x
    small.net, small.x = net.float(), [v.float() for v in x]
    small.nu = torch.nn.Parameter(nu.detach().float())
    single = tangent_kernel(small.residuals(), small.blocks())
    assert single.gramians.dtype == np.float64
    np.testing.assert_allclose(single.coupling(), kernel.coupling(), atol=1e-5)
