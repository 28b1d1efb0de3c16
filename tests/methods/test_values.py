"""Numbers that can be checked by hand, and independent computations, for the reweightings."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from conflictopt import MultiLossOptimizer, make

seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def weigh(step, coefficients):
    """``weigh(name, rows, **options)`` -> weights after one refresh, no momentum."""

    def weights(name, rows, equations=None, **options):
        view = step(rows, equations=equations)
        return coefficients(make(name, **{"momentum": 0.0, **options}), view)

    return weights


# -- the frame: momentum, refresh, cap ---------------------------------------------------------

PERIODIC = ("grad_norm", "lr_annealing", "ntk")
TWO = torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize("name", PERIODIC)
def test_momentum_averages_from_ones(name, weigh):
    target = weigh(name, TWO)
    torch.testing.assert_close(weigh(name, TWO, momentum=0.75), 0.75 + 0.25 * target)


@pytest.mark.parametrize("name", PERIODIC)
def test_weights_change_only_every_refresh_steps(name, step, random_rows):
    method = make(name, momentum=0.5, refresh=3)
    state, seen = None, []
    for seed in range(9):
        view = step(random_rows(seed, span=1.0))
        state = method.init(view.spec) if state is None else state
        c, state = method.update(view, state)
        seen.append(c)
    changed = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert changed == [False, False, True, False, False, True, False, False]


@pytest.mark.parametrize("name", PERIODIC)
def test_cap_bounds_the_target_on_both_sides(name, weigh):
    rows = torch.tensor([[1.0, 0.0], [0.0, 1e-9], [1e9, 1e9]], dtype=torch.float64)
    capped = weigh(name, rows, cap=1.5).tolist()
    assert capped[1:] == [1.5, 1 / 1.5]
    free = weigh(name, rows, cap=math.inf)
    assert free[1] > 1e6
    assert free[2] < 1 / 1.5


@pytest.mark.parametrize("name", PERIODIC)
def test_weights_look_at_the_network_only_unless_there_is_none(
    name, step, random_rows, coefficients
):
    rows, method = random_rows(0, size=9), make(name, momentum=0.0)
    network = coefficients(method, step(rows[:, :5]))
    torch.testing.assert_close(coefficients(method, step(rows, blocks={"physics": 4})), network)
    without = step(rows[:, :5], blocks={"physics": 5})
    torch.testing.assert_close(coefficients(method, without), network)


@pytest.mark.parametrize("name", PERIODIC)
def test_a_condition_without_gradient_takes_no_part(name, weigh, random_rows):
    rows = random_rows(0)
    padded = torch.cat([rows, torch.zeros(1, 8)])
    assert weigh(name, padded).tolist() == pytest.approx([*weigh(name, rows).tolist(), 1.0])


@given(momentum=st.floats(0, 0.999), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_equations_keep_exactly_one(momentum, dtype, step):
    method = make("grad_norm", form="one_sided", momentum=momentum, refresh=1)
    view, state = step(TWO.to(dtype)), None
    for _ in range(20):
        c, state = method.update(view, method.init(view.spec) if state is None else state)
        assert c[0] == 1


# -- constant ----------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [{"b": 10.0}, [1, 10.0], (1.0, 10)])
def test_constant_weights_by_name_or_in_order(weights, step, coefficients):
    assert coefficients(make("constant", weights=weights), step(TWO)).tolist() == [1.0, 10.0]


# -- grad_norm ---------------------------------------------------------------------------------


@given(seed=seeds, count=st.integers(2, 5))
def test_grad_norm_brings_all_gradients_to_the_mean_norm(seed, count, weigh, random_rows):
    rows = random_rows(seed, count, span=0.9)
    weighted = (weigh("grad_norm", rows)[:, None] * rows).norm(dim=1)
    torch.testing.assert_close(weighted, rows.norm(dim=1).mean().expand(count))


@given(seed=seeds)
def test_one_sided_lifts_conditions_and_leaves_equations(seed, weigh, random_rows):
    rows = random_rows(seed, 4, span=4.0)
    equations = [True, False, True, False]
    c = weigh("grad_norm", rows, equations, form="one_sided", cap=20.0)
    norms = rows.norm(dim=1)
    expected = (norms[[0, 2]].mean() / norms).clamp(1.0, 20.0)
    assert c[[0, 2]].tolist() == [1.0, 1.0]
    torch.testing.assert_close(c[[1, 3]], expected[[1, 3]])


# -- lr_annealing ------------------------------------------------------------------------------


@given(seed=seeds, variant=st.sampled_from(["weighted", "raw", "mean"]))
def test_lr_annealing_against_numpy(seed, variant, step, random_rows):
    """Two refreshes, so that the weighted variant divides by weights that are not 1."""
    method = make("lr_annealing", momentum=0.6, refresh=1, variant=variant, cap=math.inf)
    expected, state = np.ones(3), None
    for n in range(2):
        rows = random_rows(seed + n, span=2.0)
        view = step(rows)
        c, state = method.update(view, method.init(view.spec) if state is None else state)
        g = np.abs(rows.numpy())
        scale = expected[1:] if variant == "weighted" else 1.0
        above = g[0].mean() if variant == "mean" else g[0].max()
        expected[1:] = 0.6 * expected[1:] + 0.4 * above / (scale * g[1:].mean(axis=1))
        np.testing.assert_allclose(c.numpy(), expected, rtol=1e-12)


def test_weighted_variant_settles_at_the_root_of_max_over_mean(step):
    view = step(torch.tensor([[8.0, 1.0], [0.5, 0.5]], dtype=torch.float64))
    method = make("lr_annealing", refresh=1)
    c, state = method.update(view, method.init(view.spec))
    for _ in range(300):
        c, state = method.update(view, state)
    assert c.tolist() == pytest.approx([1.0, math.sqrt(8.0 / 0.5)])


def test_several_equations_share_their_largest_entry_or_their_mean(weigh):
    rows = torch.tensor([[8.0, 0.0], [0.0, 2.0], [1.0, 0.0]], dtype=torch.float64)
    equations = [True, True, False]
    assert weigh("lr_annealing", rows, equations).tolist() == [1, 1, 16]
    assert weigh("lr_annealing", rows, equations, variant="mean").tolist() == [1, 1, 5]


def test_lr_annealing_averages_only_parameters_that_the_loss_reaches():
    a, b = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    opt = MultiLossOptimizer(torch.optim.SGD([a, b], lr=0.0), make("lr_annealing", momentum=0.0))
    opt.step({"pde": 4 * a.sum() + b.sum(), "bc": 2 * b.sum()})
    assert opt.last.coefficients.tolist() == [1.0, 2.0]  # max 4; mean 2 over b alone


@pytest.mark.parametrize("variant", ["weighted", "raw", "mean"])
def test_lr_annealing_without_an_equation_changes_nothing(variant, weigh):
    assert weigh("lr_annealing", TWO, [False, False], variant=variant).tolist() == [1, 1]


@pytest.mark.parametrize("variant", ["weighted", "raw", "mean"])
def test_lr_annealing_with_an_inactive_equation_changes_nothing(variant, weigh):
    rows = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert weigh("lr_annealing", rows, variant=variant).tolist() == [1, 1]
