"""Coupling, shares and spectra where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from conflictopt.kernel import Spectrum, tangent_kernel


@pytest.mark.parametrize("seed", range(20))
def test_coupling_is_in_the_unit_interval(linear_losses, seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 6))  # with up to 12 losses: more than there are parameters
    rows = [
        rng.normal(size=(int(rng.integers(1, 8)), size)) * 10 ** rng.uniform(-4, 4)
        for _ in range(12)
    ]
    rows[3] = np.zeros((2, size))
    residuals, w = linear_losses(rows)
    kernel = tangent_kernel(residuals, {"w": [w]})
    coupling = kernel.coupling()
    assert (coupling >= 0).all()
    assert (coupling <= 1 + 1e-12).all()
    reached = np.arange(12) != 3
    np.testing.assert_allclose(coupling.diagonal()[reached], 1.0)
    assert not coupling[3].any()
    assert np.isnan(kernel.gradient_shares()[:, 3]).all()
    assert np.isnan(kernel.coupling_shares()[:, 3]).all()
    assert np.isnan(kernel.interference()[3]).all()


def test_extremes(linear_losses):
    a = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    jacobians = [a, -1e3 * a[::-1], [[0.0, 0.0, 5.0]]]
    residuals, w = linear_losses(jacobians, [[1.0, 1.0], [1.0, -1.0], [1.0]])
    kernel = tangent_kernel(residuals, {"w": [w]})
    np.testing.assert_allclose(kernel.coupling()[0], [1, 1, 0], atol=1e-12)
    # fully coupled, and yet their gradients, (1, 2) and (1, -2), have another angle
    np.testing.assert_allclose(kernel.cosines()[0], [1, -0.6, 0], atol=1e-12)


def test_opposed_gradients(linear_losses):
    residuals, w = linear_losses([[[1.0, 2.0]], [[-1e3, -2e3]]])
    kernel = tangent_kernel(residuals, {"w": [w]})
    np.testing.assert_allclose(kernel.cosines(), [[1, -1], [-1, 1]])
    np.testing.assert_allclose(kernel.coupling(), np.ones((2, 2)))
    np.testing.assert_allclose(kernel.effective()[0, 1], -4 * 5e3)


def test_blocks_that_cancel(linear_losses):
    residuals, w = linear_losses([[[1.0]], [[1.0]]])
    more, v = linear_losses([[[1.0]], [[-1.0]]])
    kernel = tangent_kernel({k: residuals[k] + more[k] for k in "ab"}, {"w": [w], "v": [v]})
    np.testing.assert_allclose(kernel.coupling(), np.eye(2))
    np.testing.assert_allclose([kernel.coupling("w"), kernel.coupling("v")], np.ones((2, 2, 2)))
    assert kernel.cosines("w")[0, 1] == pytest.approx(0.5)
    assert kernel.cosines("v")[0, 1] == pytest.approx(-0.5)
    assert np.isnan(kernel.gradient_shares()[:, 0, 1]).all()


def test_spectrum_of_known_eigenvalues():
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.normal(size=(4, 4))).Q
    found = Spectrum.of(q @ np.diag([8.0, 4.0, 2.0, 2.0]) @ q.T)
    np.testing.assert_allclose(found.eigenvalues, [8, 4, 2, 2])
    assert found.trace == pytest.approx(16)
    assert found.condition == pytest.approx(4)
    assert found.rank == 4
    assert found.effective_rank == pytest.approx(2**1.75)  # entropy of 1/2, 1/4, 1/8, 1/8 in bits


def test_spectrum_without_full_rank(small):
    ones = Spectrum.of(np.ones((5, 5)))
    assert ones.rank == 1
    assert ones.condition == float("inf")
    assert ones.effective_rank == pytest.approx(1)
    zero = Spectrum.of(np.zeros((2, 2)))
    assert (zero.rank, zero.effective_rank) == (0, 0)
    assert zero.condition == float("inf")
    kernel = tangent_kernel(small.residuals(), small.blocks())
    for k, name in enumerate(kernel.names):
        found = kernel.spectrum(name)
        assert 1 <= found.effective_rank + 1e-12 <= kernel.sizes[k] + 1e-9
        np.testing.assert_allclose(found.trace, kernel.trace()[k])
    assert kernel.spectrum("pde", "physics").rank == 1
