"""PCGrad in numbers against the paper's loop over vectors, in exact arithmetic where it pays."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from conflictopt import MultiLossOptimizer, make
from conflictopt.methods.surgery._base import NormalForm

few = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)


class Outcome:
    """What PCGrad makes of losses with these gradients."""

    def __init__(self, rows, seed):
        self.rows = torch.as_tensor(rows, dtype=torch.float64)
        w = nn.Parameter(torch.zeros(self.rows.shape[1], dtype=torch.float64))
        opt = MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "pcgrad", seed=seed)
        start = opt.session.generator.get_state()
        opt.step([row @ w for row in self.rows])
        self.coefficients = opt.last.coefficients
        self.update = w.grad
        self.drew = not torch.equal(opt.session.generator.get_state(), start)


@pytest.fixture(scope="module")
def pcgrad():
    """``pcgrad(rows, seed)`` -> coefficients, update, and whether an order was drawn."""
    return lambda rows, seed=0: Outcome(rows, seed)


def orders(active, seed):
    """The order for each gradient, as the run's generator draws it."""
    count = len(active)
    drawn = torch.rand(count, count, generator=torch.Generator().manual_seed(seed))
    return [[active[j] for j in line] for line in drawn.argsort(dim=1).tolist()]


def textbook(rows, seed, zero, add=sum):
    """Algorithm 1 of the paper on the vectors themselves, with coefficients kept beside them.

    Returns:
        The coefficients, and per coefficient the sum of the sizes of what was added up for it.
    """
    dot = lambda a, b: add(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    active = [k for k, row in enumerate(rows) if dot(row, row) != 0]
    total, size = [zero + 1] * len(rows), [zero + 1] * len(rows)
    for i, order in zip(active, orders(active, seed), strict=True):
        projected = list(rows[i])
        for j in order:
            along = dot(projected, rows[j])
            if j != i and along < 0:
                share = along / dot(rows[j], rows[j])
                projected = [p - share * x for p, x in zip(projected, rows[j], strict=True)]
                total[j] -= share
                size[j] += abs(share)
    return [float(t) for t in total], [float(s) for s in size]


def agree(found, expected, size, tolerance):
    """Up to rounding of what was added up, and of the gradients that were projected."""
    error = np.abs(np.array(found.coefficients.tolist()) - np.array(expected))
    norms = found.rows.norm(dim=1).numpy()
    bound = tolerance * np.array(size) * norms + 1e-14 * norms.sum()
    assert (error * norms <= bound).all()


@few
@given(
    seed=seeds,
    rows=st.integers(2, 5).flatmap(
        lambda size: st.lists(
            st.lists(st.integers(-3, 3), min_size=size, max_size=size), min_size=2, max_size=5
        )
    ),
)
def test_small_integers_exactly(pcgrad, seed, rows):
    """With zeros, repeated, opposed and dependent rows among them."""
    expected, size = textbook([[Fraction(x) for x in row] for row in rows], seed, Fraction(0))
    found = pcgrad(rows, seed)
    if not found.update.any():
        assert cancels(expected, rows)
    else:
        agree(found, expected, size, 1e-12)


def cancels(coefficients, rows):
    """Whether nothing is left of a sum of gradients but roundings of what it is made of."""
    terms = [[c * float(x) for x in row] for c, row in zip(coefficients, rows, strict=True)]
    size = sum(np.linalg.norm(term) for term in terms)
    return np.linalg.norm(np.sum(terms, axis=0)) <= 1e-14 * size


@few
@given(seed=seeds, count=st.integers(2, 5), rank=st.integers(1, 3))
def test_dependent_rows_of_all_sizes_exactly(pcgrad, seed, count, rank):
    """Few directions, and norms that are powers of two from 1e-8 to 1e8."""
    draw = np.random.default_rng(seed)
    base = draw.integers(-3, 4, size=(count, rank)) @ draw.integers(-3, 4, size=(rank, 4))
    powers = [Fraction(2) ** int(p) for p in draw.integers(-27, 28, size=count)]
    rows = [[Fraction(int(x)) * p for x in row] for row, p in zip(base, powers, strict=True)]
    expected, size = textbook(rows, seed, Fraction(0))
    found = pcgrad([[float(x) for x in row] for row in rows], seed)
    if not found.update.any():
        assert cancels(expected, rows)
    else:
        agree(found, expected, size, 1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("size", "span"), [(40, 0.0), (40, 8.0), (8, 4.0)])
def test_many_losses(pcgrad, seed, size, span):
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((32, size)) * 10 ** draw.uniform(-span, span, (32, 1))
    wide = [[np.longdouble(x) for x in row] for row in rows]
    expected, error = textbook(wide, seed, np.longdouble(0))
    found = pcgrad(rows, seed)
    assert found.drew
    agree(found, expected, error, 1e-9)


@pytest.mark.parametrize("ratio", [1e-8, 1e-3, 1.0, 1e3, 1e8])
def test_opposed_gradients_cancel(pcgrad, ratio):
    g = torch.tensor([3.0, -4.0, 12.0], dtype=torch.float64)
    found = pcgrad([g.tolist(), (-ratio * g).tolist()])
    assert found.update.norm() <= 1e-14 * 13 * max(1, ratio)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_zero_gradient_changes_nothing(pcgrad, place):
    rows = [[1.0, 0.0], [-1.0, 1.0]]
    without = pcgrad(rows)
    padded = pcgrad([*rows[:place], [0.0, 0.0], *rows[place:]])
    assert torch.equal(padded.update, without.update)
    assert padded.coefficients[place] == 1


@few
@given(seed=seeds, count=st.integers(2, 32), span=st.sampled_from([0.0, 8.0]))
def test_without_conflict_it_is_the_sum_and_draws_nothing(pcgrad, seed, count, span):
    draw = np.random.default_rng(seed)
    rows = np.abs(draw.standard_normal((count, 5))) * 10 ** draw.uniform(-span, span, (count, 1))
    found = pcgrad(rows)
    assert found.coefficients.tolist() == [1.0] * count
    assert not found.drew


@pytest.mark.parametrize("rows", [[[1.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [-1.0, 1.0]], [[0.0] * 2]])
def test_neither_right_angles_nor_zeros_are_conflicts(pcgrad, rows):
    found = pcgrad(rows)
    assert found.coefficients.tolist() == [1.0] * len(rows)
    assert not found.drew


@few
@given(seed=seeds, count=st.integers(2, 6))
def test_coefficients_are_at_least_one_and_sizes_do_not_matter(pcgrad, seed, count):
    """Each projection adds; scaling all gradients by a power of two changes no bit."""
    rows = np.random.default_rng(seed).standard_normal((count, 4))
    found = pcgrad(rows, seed)
    assert (found.coefficients >= 1).all()
    for scale in (2.0**-60, 2.0**60):
        assert torch.equal(pcgrad(rows * scale, seed).coefficients, found.coefficients)


def test_the_order_is_that_of_the_seed(pcgrad):
    rows = np.random.default_rng(0).standard_normal((6, 3))
    assert torch.equal(pcgrad(rows, 5).update, pcgrad(rows, 5).update)
    assert not torch.equal(pcgrad(rows, 5).update, pcgrad(rows, 6).update)


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_the_order_is_that_of_the_seed_in_every_default_dtype(pcgrad, default):
    rows = np.random.default_rng(0).standard_normal((6, 3))
    expected = pcgrad(rows, 5).coefficients
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        found = pcgrad(rows, 5).coefficients
    finally:
        torch.set_default_dtype(before)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_solving_leaves_its_arguments_alone():
    unit = [[1.0, -0.5, 0.2], [-0.5, 1.0, -0.7], [0.2, -0.7, 1.0]]
    norms, kept = [1.0, 2.0, 3.0], [list(row) for row in unit]
    view = SimpleNamespace(generator=torch.Generator().manual_seed(0))
    problem = NormalForm(np.array(unit), np.array(norms), [0, 1, 2], view)
    make("pcgrad").solve(problem, torch.zeros(0))
    assert problem.gramian.tolist() == kept
    assert problem.sizes.tolist() == [1.0, 2.0, 3.0]
    unit, norms = problem.unit, problem.norms
    assert unit == kept
    assert norms == [1.0, 2.0, 3.0]
