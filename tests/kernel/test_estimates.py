"""Samples of rows and random products: unbiased, with the variance that is claimed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conflictopt.kernel import probed_kernel, tangent_kernel

DRAWS = 400


def within(samples, exact, errors=5.0):
    """Whether a mean agrees with a value, given the spread of the samples."""
    samples = np.asarray(samples)
    error = samples.std(axis=0, ddof=1) / len(samples) ** 0.5
    return (np.abs(samples.mean(axis=0) - exact) <= errors * error + 1e-12 * np.abs(exact)).all()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def made(linear_losses):
    """Two blocks, losses of sizes 9, 7 and 3, norms 1 to 1000."""
    rng = np.random.default_rng(0)
    sizes = ((9, 1.0), (7, 1e3), (3, 1.0))
    residuals, w = linear_losses([rng.normal(size=(n, 5)) * s for n, s in sizes])
    v = torch.ones(3, dtype=torch.float64, requires_grad=True)
    weights = torch.as_tensor(rng.normal(size=(9, 3)))
    residuals["a"] = residuals["a"] + weights @ v
    return residuals, {"w": [w], "v": [v]}


def test_sampled_rows_are_unbiased(made):
    exact = tangent_kernel(*made)
    found = [tangent_kernel(*made, rows=3, generator=seeded(i)) for i in range(DRAWS)]
    assert found[0].kind == "rows"
    assert within([f.traces for f in found], exact.traces)
    assert within([f.products for f in found], exact.products)
    assert np.std([f.traces for f in found], axis=0)[0, 0] > 0
    # gradients are those of all residuals
    np.testing.assert_allclose(found[0].gramians, exact.gramians, rtol=1e-12)


def test_probes_are_unbiased(made):
    exact = tangent_kernel(*made)
    found = [probed_kernel(*made, probes=3, generator=seeded(i)) for i in range(DRAWS)]
    assert found[0].kind == "probes"
    assert within([f.traces for f in found], exact.traces)
    assert within([f.products for f in found], exact.products)
    np.testing.assert_allclose(found[0].gramians, exact.gramians, rtol=1e-12)


def test_variance_of_probes_is_what_the_docstring_says(made):
    m = 4
    exact = tangent_kernel(*made)
    found = [probed_kernel(*made, probes=m, generator=seeded(i)) for i in range(DRAWS)]
    slack = 1 + 5 * (2 / DRAWS) ** 0.5
    for k, name in enumerate(exact.names):
        own = exact.matrix(name, name)
        off = np.linalg.norm(own) ** 2 - (own.diagonal() ** 2).sum()
        variance = np.var([f.trace()[k] for f in found], ddof=1)
        assert variance == pytest.approx(2 * off / m, rel=0.4)
        for j, other in enumerate(exact.names):
            a = exact.matrix(name, other)
            square, fourth = np.linalg.norm(a) ** 2, np.linalg.norm(a @ a.T) ** 2
            if k == j:
                claimed = 8 * fourth / m + (4 * square**2 + 12 * fourth) / (m * (m - 1))
            else:
                claimed = 4 * fourth / m + (2 * square**2 + 6 * fourth) / m**2
            seen = np.var([f.norm()[k, j] ** 2 for f in found], ddof=1)
            assert seen <= claimed * slack


def test_more_rows_and_probes_come_nearer(made):
    exact = tangent_kernel(*made).coupling()

    def error(measure, **options):
        found = [measure(*made, generator=seeded(i), **options).coupling() for i in range(30)]
        return np.sqrt(np.mean([(f - exact) ** 2 for f in found]))

    assert error(tangent_kernel, rows=7) < error(tangent_kernel, rows=2)
    assert error(probed_kernel, probes=64) < error(probed_kernel, probes=2) / 2


@pytest.mark.parametrize(
    ("measure", "options"), [(tangent_kernel, {"rows": 3}), (probed_kernel, {"probes": 2})]
)
def test_generators(made, measure, options):
    state = torch.get_rng_state()
    default = measure(*made, **options).products
    assert (default == measure(*made, **options).products).all()
    assert (default == measure(*made, generator=seeded(0), **options).products).all()
    assert (default != measure(*made, generator=seeded(1), **options).products).any()
    assert torch.equal(torch.get_rng_state(), state)


def test_all_rows_are_exact(made):
    exact = tangent_kernel(*made, rows=None)
    assert exact.kind == tangent_kernel(*made, rows=9).kind == "exact"
    assert (exact.products == tangent_kernel(*made, rows=9).products).all()


def test_a_sample_is_a_part_of_the_kernel(made):
    exact, sample = tangent_kernel(*made), tangent_kernel(*made, rows=4)
    own = sample.matrix("a", "a") / (9 / 4)
    whole = exact.matrix("a", "a")
    picked = [int(np.argmin(np.abs(whole.diagonal() - d))) for d in own.diagonal()]
    np.testing.assert_allclose(own, whole[np.ix_(picked, picked)], rtol=1e-10)
    assert picked == sorted(set(picked))
