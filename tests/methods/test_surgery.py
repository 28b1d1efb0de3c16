"""Surgery against textbook algorithms on the full gradient vectors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conflictopt import make

seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def update_of(step, coefficients):
    """``update_of(name, rows)`` -> the update ``sum_k c_k g_k``."""

    def update(name, rows, **options):
        return coefficients(make(name, **options), step(rows)) @ rows

    return update


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def cosines(rows, d):
    return unit(rows) @ d / d.norm()


# -- pcgrad ------------------------------------------------------------------------------------


def textbook_pcgrad(rows, generator):
    projected = rows.clone()
    orders = torch.rand(len(rows), len(rows), generator=generator).argsort(dim=1)
    for i in range(len(rows)):
        for j in orders[i].tolist():
            along = projected[i] @ rows[j]
            if i != j and along < 0:
                projected[i] -= along / rows[j].square().sum() * rows[j]
    return projected.sum(dim=0)


def test_pcgrad_by_hand(update_of):
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    assert update_of("pcgrad", rows).tolist() == [0.5, 1.5]


@given(seed=seeds, count=st.integers(2, 6), size=st.integers(2, 8))
def test_pcgrad_is_the_textbook_loop(seed, count, size, step, random_rows):
    rows = random_rows(seed, count, size, span=2.0)
    c, _ = make("pcgrad").update(step(rows, generator=torch.Generator().manual_seed(seed)), {})
    expected = textbook_pcgrad(rows, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(c @ rows, expected, rtol=1e-10, atol=1e-10 * float(rows.norm()))


# -- config ------------------------------------------------------------------------------------


def textbook_config(rows):
    u = unit(rows)
    v = torch.linalg.lstsq(u, torch.ones(len(u), 1, dtype=u.dtype), driver="gelsd").solution[:, 0]
    v = v / v.norm()
    return (rows @ v).sum() * v


def test_config_by_hand(update_of):
    rows = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    assert update_of("config", rows).tolist() == pytest.approx([2.0, 2.0])


@given(seed=seeds, count=st.integers(2, 6))
def test_config_has_equal_cosines_and_the_length_of_the_projections(
    seed, count, update_of, random_rows
):
    rows = random_rows(seed, count, 12, span=3.0)
    d = update_of("config", rows)
    torch.testing.assert_close(d, textbook_config(rows), rtol=1e-8, atol=1e-8 * float(d.norm()))
    assert float(cosines(rows, d).std()) < 1e-8
    assert cosines(rows, d).min() > 0
    assert float(d.norm()) == pytest.approx(float((rows @ unit(d)).sum()))


@given(seed=seeds)
def test_config_of_two_points_along_the_sum_of_directions(seed, update_of, random_rows):
    rows = random_rows(seed, 2, span=8.0)
    d, v = update_of("config", rows), unit(unit(rows).sum(dim=0))
    torch.testing.assert_close(d, (rows @ v).sum() * v, rtol=1e-8, atol=1e-8 * float(d.norm()))


@given(seed=seeds, count=st.integers(3, 6))
def test_config_of_dependent_gradients_is_the_least_squares_direction(
    seed, count, update_of, random_rows
):
    rows = random_rows(seed, count, 2)
    v = unit(torch.linalg.pinv(unit(rows)).sum(dim=1))
    torch.testing.assert_close(
        update_of("config", rows), (rows @ v).sum() * v, rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ratio", [1e-8, 1e-3, 1.0, 1e3, 1e8])
def test_config_of_opposed_gradients_is_zero(ratio, dtype, update_of, random_rows):
    g = random_rows(0, 1, dtype=dtype)
    assert update_of("config", torch.cat([g, -ratio * g])).tolist() == [0.0] * g.shape[1]


@pytest.mark.parametrize("angle", [1e-1, 1e-3, 1e-5])
def test_config_of_nearly_opposed_gradients_still_finds_the_common_direction(angle, update_of):
    rows = torch.tensor([[-1.0, angle], [5.0, 5 * angle]], dtype=torch.float64)
    found = cosines(rows, update_of("config", rows))
    assert found.tolist() == pytest.approx([angle, angle], rel=1e-2)


def test_config_of_three_directions_without_common_descent_is_zero(update_of):
    angle = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64) * torch.pi / 3
    rows = torch.stack([angle.cos(), angle.sin()], dim=1)
    assert update_of("config", rows).norm() < 1e-6


# -- both --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pcgrad", "config"])
@given(seed=seeds, span=st.sampled_from([0, 2, 8]))
def test_update_of_two_gradients_conflicts_with_neither(name, seed, span, update_of, random_rows):
    rows = random_rows(seed, 2, 4, span=span)
    d = update_of(name, rows)
    slack = 1e-12 * rows.norm(dim=1) * rows.norm(dim=1).max()
    assert (rows @ d >= -slack).all()


@pytest.mark.parametrize("name", ["pcgrad", "config"])
def test_blocks_physics_looks_at_the_network_and_sums_the_rest(
    name, step, random_rows, coefficients
):
    rows = random_rows(1, 3, 9)
    view = step(rows, blocks={"physics": 4})
    c = coefficients(make(name), view)
    assert c.shape == (3, 2)
    torch.testing.assert_close(c[:, 0], coefficients(make(name), step(rows[:, :5])))
    assert c[:, 1].tolist() == [1.0, 1.0, 1.0]
    whole = coefficients(make(name, blocks="global"), view)
    torch.testing.assert_close(whole, coefficients(make(name), step(rows)))
