"""What surgery promises, and independent solutions of its problems on the full vectors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from conflictopt import make

seeds = st.integers(0, 2**31)
spans = st.sampled_from([0.0, 2.0, 4.0])
independent = st.sampled_from([(2, 2), (2, 7), (3, 3), (4, 9), (5, 8)])
dependent = st.sampled_from([(3, 2), (4, 3), (5, 3)])
any_shape = independent | dependent
ratios = pytest.mark.parametrize("ratio", [1e-8, 1e-3, 1.0, 1e3, 1e8])

DETERMINISTIC = {
    "aligned_mtl": {},
    "cagrad": {"c": 0.5},
    "chebyshev": {},
    "config": {},
    "dualproj": {},
    "fairgrad": {},
    "imtl_g": {},
    "mgda": {},
    "nash_mtl": {},
    "upgrad": {},
}
PROJECTIONS = ["dualproj", "upgrad"]
SUM_WITHOUT_CONFLICT = ["pcgrad", "gradvac", "dualproj", "upgrad"]
CENTRES = ["config", "imtl_g", "nash_mtl", "chebyshev", "dcgd"]
"""Methods that go along the bisector of two gradients."""
NEVER_CONFLICT = {
    "cagrad": {"c": 1.5},
    "chebyshev": {},
    "dualproj": {},
    "fairgrad": {},
    "mgda": {},
    "nash_mtl": {},
    "upgrad": {},
}


def f64(rows):
    return torch.tensor(rows, dtype=torch.float64)


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def cosines(rows, d):
    return unit(rows) @ d / d.norm()


def largest(rows):
    return float(rows.norm(dim=1).max())


def star(dtype=torch.float64, scales=(1.0, 1.0, 1.0)):
    """Three directions in the plane, 120 degrees apart."""
    angle = f64([0.0, 2.0, 4.0]) * torch.pi / 3
    return (torch.stack([angle.cos(), angle.sin()], dim=1) * f64(scales)[:, None]).to(dtype)


@pytest.fixture(scope="module")
def solved(step):
    """``solved(name, rows, ...)`` -> coefficients, update, kinds of reports."""

    def go(name, rows, equations=None, offsets=0.5, **options):
        method, view = make(name, **options), step(rows, equations=equations, offsets=offsets)
        c = method.update(view, method.init(view.spec))[0]
        return c, c @ rows, [kind for kind, _ in view._notes]

    return go


# -- independent solutions ---------------------------------------------------------------------


def subsets(count, smallest):
    sizes = range(smallest, count + 1)
    return (list(s) for size in sizes for s in itertools.combinations(range(count), size))


def projected(rows, x):
    """The point of the dual cone nearest to x: of all sets of active constraints the best."""
    u, x = unit(rows).numpy(), x.numpy()
    found = []
    for active in subsets(len(u), 0):
        y, inverse = x, np.linalg.pinv(u[active], rcond=1e-12)
        for _ in range(2):
            y = y - inverse @ (u[active] @ y)
        if (u @ y >= -1e-10 * np.linalg.norm(x)).all():
            found.append(y)
    return torch.from_numpy(min(found, key=lambda y: np.linalg.norm(y - x)))


def shortest(rows):
    """Weights of the shortest convex combination: of all supports the best."""
    a, found = rows.numpy(), []
    for support in subsets(len(a), 1):
        size, weights = len(support), np.zeros(len(a))
        spread = np.linalg.lstsq((a[support[1:]] - a[support[0]]).T, -a[support[0]], rcond=None)[0]
        weights[support] = [1 - spread.sum(), *spread] if size > 1 else [1.0]
        if weights.min() >= -1e-12:
            found.append(weights)
    return torch.from_numpy(min(found, key=lambda w: np.linalg.norm(w @ a)))


def conflict_averse(rows, c):
    """CAGrad by sequential quadratic programming on the weights, as its authors do."""
    size = float(rows.norm())
    a = rows.numpy() / size
    total = a.sum(axis=0)
    radius = c * np.linalg.norm(total)
    least = minimize(
        lambda w: w @ a @ total + radius * np.linalg.norm(w @ a),
        np.full(len(a), 1 / len(a)),
        jac=lambda w: a @ total + radius * (a @ (w @ a)) / np.linalg.norm(w @ a),
        bounds=[(0, 1)] * len(a),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    ).x
    pushed = least @ a
    return size * torch.from_numpy(total + radius * pushed / np.linalg.norm(pushed))


def bargained(rows):
    """The direction with the largest product of gains, by SQP over the unit ball."""
    u = unit(rows).numpy()
    start = np.linalg.pinv(u).sum(axis=1)
    best = minimize(
        lambda x: -np.log(u @ x).sum(),
        start / np.linalg.norm(start) / 2,
        jac=lambda x: -u.T @ (1 / (u @ x)),
        constraints=[
            {"type": "ineq", "fun": lambda x: 1 - x @ x, "jac": lambda x: -2 * x},
            {"type": "ineq", "fun": lambda x: u @ x - 1e-9, "jac": lambda x: u},
        ],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    ).x
    return unit(torch.from_numpy(best))


def aligned(rows, scale):
    """``sqrt(s) 1 U V`` of the singular value decomposition of the rows, to 50 digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(50):
        left, sizes, right = mpmath.svd_r(mpmath.matrix(rows.tolist()))
        squares = sorted(s**2 for s in sizes)
        middle = squares[(len(squares) - 1) // 2 : len(squares) // 2 + 1]
        s = {"min": squares[0], "median": sum(middle) / len(middle)}.get(
            scale, sum(squares) / len(squares)
        )
        d = mpmath.matrix([[mpmath.sqrt(s)] * len(rows)]) * left * right
        return f64([float(x) for x in d])


def impartial(rows):
    """IMTL-G as in its paper: ``a_2..K = g_1 D (U D)^-1`` with differences to the first."""
    u = unit(rows)
    units, differences = u[0] - u[1:], rows[0] - rows[1:]
    rest = torch.linalg.solve(units @ differences.T, units @ rows[0])
    return torch.cat([1 - rest.sum(dim=0, keepdim=True), rest])


def vaccinated(rows, targets, beta, generator):
    """GradVac on the vectors themselves; ``targets`` are changed in place."""
    moved = rows.clone()
    orders = torch.rand(len(rows), len(rows), generator=generator).argsort(dim=1)
    for i, order in enumerate(orders.tolist()):
        for j in order:
            if i == j:
                continue
            size, other = moved[i].norm(), rows[j].norm()
            phi, t = moved[i] @ rows[j] / size / other, targets[i, j].clone()
            if phi < t:
                share = t * (1 - phi**2).sqrt() - phi * (1 - t**2).sqrt()
                moved[i] += rows[j] * size * share / (other * (1 - t**2).sqrt())
            targets[i, j] = (1 - beta) * t + beta * phi
    return moved.sum(dim=0)


def dual_cone_descent(rows, equations, variant):
    """DCGD on the gradients of both groups."""
    kinds = torch.tensor(equations)
    r, b = rows[kinds].sum(dim=0), rows[~kinds].sum(dim=0)
    total = r + b
    without_b, without_r = r - (r @ b) / (b @ b) * b, b - (r @ b) / (r @ r) * r
    if variant == "center":
        c = unit(r) + unit(b)
        return (c @ total) / (c @ c) * c
    if total @ b >= 0 and total @ r >= 0:
        return total
    if variant == "average":
        return (without_b + without_r) / 2
    return without_b if total @ b < 0 else without_r


# -- all methods -------------------------------------------------------------------------------


@given(seed=seeds, shape=independent, span=spans)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_permuting_losses_permutes_coefficients(name, seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(seed))
    c, _d, _ = solved(name, rows, **DETERMINISTIC[name])
    moved, _, _ = solved(name, rows[order], **DETERMINISTIC[name])
    lengths = rows[order].norm(dim=1)
    scale = float((c * rows.norm(dim=1)).abs().max())
    torch.testing.assert_close(moved * lengths, c[order] * lengths, rtol=1e-7, atol=1e-9 * scale)


@given(seed=seeds, shape=any_shape, span=spans)
@pytest.mark.parametrize("variant", ["center", "average", "projection"])
def test_permuting_losses_with_their_kinds_permutes_dcgd(
    variant, seed, shape, span, solved, random_rows
):
    rows = random_rows(seed, *shape, span=span)
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(seed))
    kinds = torch.arange(shape[0]) < max(1, shape[0] // 2)
    c, _, _ = solved("dcgd", rows, equations=kinds.tolist(), variant=variant)
    moved, _, _ = solved("dcgd", rows[order], equations=kinds[order].tolist(), variant=variant)
    torch.testing.assert_close(moved, c[order], rtol=1e-9, atol=0)


@given(seed=seeds, shape=independent, span=spans, scale=st.sampled_from([1e-30, 1e-9, 1e9, 1e30]))
@pytest.mark.parametrize(
    "name", [*sorted({*DETERMINISTIC} - {"fairgrad", "nash_mtl"}), "gradvac", "dcgd"]
)
def test_update_scales_with_the_gradients(name, seed, shape, span, scale, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    options = DETERMINISTIC.get(name, {})
    c, d, _ = solved(name, rows, **options)
    _, scaled, _ = solved(name, scale * rows, **options)
    made_of = float((c * rows.norm(dim=1)).abs().sum())
    torch.testing.assert_close(scaled / scale, d, rtol=1e-8, atol=1e-11 * made_of)


@given(seed=seeds, shape=independent, span=spans, at=st.integers(0, 2))
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_zero_gradient_changes_nothing(name, seed, shape, span, at, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    with_zero = torch.cat([rows[:at], torch.zeros_like(rows[:1]), rows[at:]])
    c, d, _ = solved(name, rows, **DETERMINISTIC[name])
    longer, same, _ = solved(name, with_zero, **DETERMINISTIC[name])
    assert longer[min(at, len(rows))] == 1
    made_of = float((c * rows.norm(dim=1)).abs().sum())
    torch.testing.assert_close(same, d, rtol=1e-8, atol=1e-11 * made_of)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [*DETERMINISTIC, "gradvac", "pcgrad", "dcgd"])
def test_gradients_that_are_all_zero_give_zero(name, dtype, solved):
    rows = torch.zeros(3, 4, dtype=dtype)
    assert solved(name, rows)[1].tolist() == [0.0] * 4


@ratios
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "name", ["chebyshev", "config", "dcgd", "imtl_g", "mgda", "nash_mtl", "upgrad", "dualproj"]
)
def test_opposed_gradients_give_zero(name, dtype, ratio, solved, random_rows):
    g = random_rows(0, 1, dtype=dtype)
    rows = torch.cat([g, -ratio * g])
    d = solved(name, rows)[1]
    assert float(d.norm()) <= 4 * torch.finfo(dtype).eps * largest(rows)


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1.0, 10.0, 1e4), (1e-8, 1.0, 1e8)])
@pytest.mark.parametrize(
    "name", ["chebyshev", "config", "imtl_g", "mgda", "nash_mtl", "upgrad", "dualproj"]
)
def test_three_directions_without_common_descent_give_zero(name, scales, solved):
    rows = star(scales=scales)
    assert float(solved(name, rows)[1].norm()) <= 1e-14 * largest(rows)


@pytest.mark.parametrize(
    "name",
    [
        "chebyshev",
        pytest.param("config"),
        pytest.param("imtl_g"),
        "mgda",
        "nash_mtl",
        "upgrad",
        "dualproj",
    ],
)
def test_three_float32_directions_without_common_descent_give_zero(name, solved):
    rows = star(torch.float32, scales=(1.0, 10.0, 1e4))
    assert float(solved(name, rows)[1].norm()) <= 1e-6 * largest(rows)


@given(seed=seeds, shape=any_shape, span=spans)
@pytest.mark.parametrize("name", sorted({*NEVER_CONFLICT} - {"cagrad"}))
def test_no_conflict(name, seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    c, d, _ = solved(name, rows, **NEVER_CONFLICT[name])
    made_of = float((c * rows.norm(dim=1)).abs().sum())
    assert (unit(rows) @ d >= -1e-11 * made_of).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ratio", [1.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e8])
@pytest.mark.parametrize("name", NEVER_CONFLICT)
def test_no_conflict_when_a_gradient_is_much_larger(name, ratio, dtype, solved):
    rows = f64([[ratio, 0.0], [-0.9, math.sqrt(0.19)]]).to(dtype)
    d = solved(name, rows, **NEVER_CONFLICT[name])[1]
    assert (cosines(rows, d) >= -16 * torch.finfo(dtype).eps).all()


# -- the sum without conflict ------------------------------------------------------------------


@given(seed=seeds, shape=any_shape, span=spans)
@pytest.mark.parametrize("name", SUM_WITHOUT_CONFLICT)
def test_the_plain_sum_without_conflict(name, seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span).abs()
    assert solved(name, rows)[0].tolist() == [1.0] * shape[0]


@given(seed=seeds, size=st.integers(2, 8))
@pytest.mark.parametrize("name", ["pcgrad", "gradvac", *PROJECTIONS, *NEVER_CONFLICT])
def test_two_gradients_a_hundredfold_apart_never_conflict(name, seed, size, solved, random_rows):
    rows = random_rows(seed, 2, size) * f64([[1.0], [100.0]])
    d = solved(name, rows, **NEVER_CONFLICT.get(name, {}))[1]
    assert (unit(rows) @ d >= -1e-13 * largest(rows)).all()


@pytest.mark.parametrize("name", ["pcgrad", "gradvac", "config", "aligned_mtl"])
def test_three_gradients_may_be_left_in_conflict(name, solved, random_rows):
    """Not wished for: these methods promise no more, and their documentation says so."""
    count, size = (4, 3) if name == "config" else (3, 3)
    worst = [
        float(cosines(rows, solved(name, rows)[1]).min())
        for rows in (random_rows(seed, count, size) for seed in range(60))
    ]
    assert min(worst) < -0.1


# -- upgrad, dualproj --------------------------------------------------------------------------


@given(seed=seeds, shape=any_shape, span=spans)
def test_dualproj_is_the_nearest_point_to_the_sum(seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    expected = projected(rows, rows.sum(dim=0))
    found = solved("dualproj", rows)[1]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9 * largest(rows))


@given(seed=seeds, shape=any_shape, span=spans)
def test_upgrad_is_the_sum_of_the_nearest_points(seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    expected = sum(projected(rows, row) for row in rows)
    found = solved("upgrad", rows)[1]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9 * largest(rows))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projection_keeps_what_an_opposed_pair_leaves(name, solved):
    rows = f64([[1.0, 0.0], [-5.0, 0.0], [0.0, 1.0]])
    assert solved(name, rows)[1].tolist() == pytest.approx([0.0, 1.0], abs=1e-14)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_no_projection_weight_is_below_that_of_the_sum(name, solved, random_rows):
    for seed in range(20):
        assert (solved(name, random_rows(seed, 4, 5, span=3.0))[0] >= 1).all()


@given(seed=seeds, shape=independent)
def test_upgrad_is_linear_in_the_scales_of_the_losses(seed, shape, solved, random_rows):
    rows = random_rows(seed, *shape)
    scales = 10 ** random_rows(seed + 1, 2, shape[0], span=0.0)[:, :, None]

    def update(scale):
        return solved("upgrad", scale * rows)[1]

    together, apart = update(scales[0] + 3 * scales[1]), update(scales[0]) + 3 * update(scales[1])
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=1e-10 * largest(rows))


def test_dualproj_by_hand(solved):
    rows = f64([[3.0, 0.0], [-1.0, 1.0]])
    c, d, _ = solved("dualproj", rows)
    assert d.tolist() == pytest.approx([1.5, 1.5])
    assert c.tolist() == pytest.approx([1.0, 1.5])


# -- mgda, chebyshev ---------------------------------------------------------------------------


@given(seed=seeds, shape=any_shape, span=st.sampled_from([0.0, 1.0]))
def test_mgda_is_the_shortest_convex_combination(seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    expected = shortest(rows) @ rows
    torch.testing.assert_close(
        solved("mgda", rows)[1], expected, rtol=1e-7, atol=1e-10 * largest(rows)
    )


@given(seed=seeds, shape=independent, span=spans)
def test_mgda_lowers_all_losses_by_the_square_of_its_length(seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    a, d, _ = solved("mgda", rows)
    gains = (rows @ d) / (d @ d)
    assert (a >= 0).all()
    assert float(a.sum()) == pytest.approx(1.0)
    assert gains.min() >= 1 - 1e-8
    assert gains[a > 0].tolist() == pytest.approx([1.0] * int((a > 0).sum()), rel=1e-8)


@given(seed=seeds, count=st.integers(2, 5))
@pytest.mark.parametrize("normalize", ["norm", "loss", "loss+norm"])
def test_mgda_of_normalised_gradients(normalize, seed, count, solved, random_rows):
    rows, offsets = random_rows(seed, count, 8), 2.0 ** torch.arange(count)
    scales = torch.ones(count, dtype=torch.float64)
    if "loss" in normalize:
        scales = offsets.double() ** 2
    if "norm" in normalize:
        scales = scales * rows.norm(dim=1)
    scaled = rows / scales[:, None]
    d = solved("mgda", rows, offsets=offsets, normalize=normalize)[1]
    torch.testing.assert_close(d, shortest(scaled) @ scaled, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[2.0, 0.0], [0.0, 1.0]], [0.4, 0.8]),
        ([[1.0, 0.0], [5.0, 1.0]], [1.0, 0.0]),
        ([[1.0, 2.0], [2.0, 4.0], [5.0, 10.0]], [1.0, 2.0]),
        ([[1.0, 1.0], [-1.0, 1.0], [0.0, 9.0]], [0.0, 1.0]),
    ],
)
def test_mgda_by_hand(rows, expected, solved):
    assert solved("mgda", f64(rows))[1].tolist() == pytest.approx(expected, abs=1e-15)


@given(seed=seeds, shape=any_shape, span=spans)
def test_chebyshev_points_along_the_shortest_combination_of_directions(
    seed, shape, span, solved, random_rows
):
    rows = random_rows(seed, *shape, span=span)
    v = shortest(unit(rows)) @ unit(rows)
    _, d, kinds = solved("chebyshev", rows)
    if float(v.norm()) < 1e-6:
        assert kinds == ["no_descent"]
        assert float(d.norm()) == 0
    else:
        torch.testing.assert_close(unit(d), unit(v), rtol=1e-7, atol=1e-8)
        assert float(d.norm()) == pytest.approx(float((rows @ unit(v)).sum()), rel=1e-7)


@given(seed=seeds, shape=independent, span=spans)
def test_no_direction_has_a_larger_smallest_cosine_than_chebyshev(
    seed, shape, span, solved, random_rows
):
    rows = random_rows(seed, *shape, span=span)
    c, d, _ = solved("chebyshev", rows)
    weights = c * rows.norm(dim=1)
    bound = (weights / weights.sum()) @ unit(rows)
    assert float(cosines(rows, d).min()) == pytest.approx(float(bound.norm()), rel=1e-8)
    for name in ("config", "upgrad", "nash_mtl"):
        assert cosines(rows, solved(name, rows)[1]).min() <= cosines(rows, d).min() + 1e-10


def test_chebyshev_ignores_a_gradient_inside_the_cone(solved):
    rows = f64([[1.0, 1.0], [-1.0, 1.0], [0.5, 8.0]])
    c, d, _ = solved("chebyshev", rows)
    assert c.tolist() == pytest.approx([5.0, 5.0, 0.0])
    assert d.tolist() == pytest.approx([0.0, 10.0])


# -- cagrad ------------------------------------------------------------------------------------


@given(seed=seeds, shape=independent, span=spans, c=st.sampled_from([0.1, 0.4, 0.9, 1.0, 2.0]))
def test_cagrad_ends_on_the_sphere_around_the_sum(seed, shape, span, c, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    total = rows.sum(dim=0)
    moved = solved("cagrad", rows, c=c)[1] - total
    assert float(moved.norm()) == pytest.approx(c * float(total.norm()), rel=1e-8)


@given(seed=seeds, shape=independent, span=spans, c=st.sampled_from([0.1, 0.4, 0.9, 1.0, 2.0]))
def test_no_point_of_the_ball_is_better_than_cagrad(seed, shape, span, c, solved, random_rows):
    """The dual problem bounds the smallest decrease from above; the update attains it."""
    rows = random_rows(seed, *shape, span=span)
    chosen, d, _ = solved("cagrad", rows, c=c)
    weights, total = chosen - 1, rows.sum(dim=0)
    assert (weights >= 0).all()
    pushed = weights / weights.sum() @ rows
    bound = pushed @ total + c * total.norm() * pushed.norm()
    slack = 1e-9 * float(d.norm() * rows.norm(dim=1).max())
    assert float((rows @ d).min()) == pytest.approx(float(bound), rel=1e-8, abs=slack)


@given(seed=seeds, shape=independent, c=st.sampled_from([0.1, 0.4, 0.9, 2.0]))
def test_cagrad_is_the_authors_program(seed, shape, c, solved, random_rows):
    rows = random_rows(seed, *shape, span=0.5)
    expected = conflict_averse(rows, c)
    torch.testing.assert_close(
        solved("cagrad", rows, c=c)[1], expected, rtol=1e-4, atol=1e-4 * float(expected.norm())
    )


@given(seed=seeds, shape=any_shape, span=spans)
def test_cagrad_without_a_ball_is_the_sum(seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    assert solved("cagrad", rows, c=0.0)[0].tolist() == [1.0] * shape[0]


@given(seed=seeds, shape=independent, span=spans, c=st.sampled_from([1.0, 1.5, 4.0]))
def test_cagrad_does_not_conflict_from_c_one_on(seed, shape, span, c, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    d = solved("cagrad", rows, c=c)[1]
    assert (unit(rows) @ d >= -1e-11 * largest(rows)).all()


def test_cagrad_may_conflict_below_c_one(solved, random_rows):
    draws = (random_rows(seed, 3, 6) for seed in range(60))
    worst = [float(cosines(rows, solved("cagrad", rows, c=0.5)[1]).min()) for rows in draws]
    assert min(worst) < -0.1


@pytest.mark.parametrize(
    ("c", "expected"), [(0.5, [1.5, 1.5]), (1.0, [2.0, 2.0]), (3.0, [4.0, 4.0])]
)
def test_cagrad_by_hand(c, expected, solved):
    rows = f64([[1.0, 0.0], [0.0, 1.0]])
    assert solved("cagrad", rows, c=c)[1].tolist() == pytest.approx(expected)


def test_cagrad_pushes_along_the_smaller_gradient_by_hand(solved):
    """Sum (4, 1), radius sqrt(17) / 2, all of it for the loss that gains least."""
    d = solved("cagrad", f64([[4.0, 0.0], [0.0, 1.0]]), c=0.5)[1]
    assert d.tolist() == pytest.approx([4.0, 1.0 + math.sqrt(17) / 2])


@pytest.mark.parametrize("c", [0.4, 1.0, 2.0])
def test_cagrad_of_opposed_gradients_goes_as_far_as_the_ball_allows(c, solved):
    d = solved("cagrad", f64([[3.0, 0.0], [-1.0, 0.0]]), c=c)[1]
    assert d.tolist() == pytest.approx([2.0 - min(c, 1.0) * 2.0, 0.0], abs=1e-12)


def cagrad_without_common_descent(solved, rows, c):
    """Holds where zero is the largest smallest decrease: 0 for c >= 1, else its bound."""
    d, total = solved("cagrad", rows, c=c)[1], rows.sum(dim=0)
    assert float((d - total).norm()) <= (1 + 1e-6) * c * float(total.norm())
    if c >= 1:
        assert (unit(rows) @ d >= -1e-6 * total.norm()).all()
    else:
        best = conflict_averse(rows, c)
        found, wanted = float((rows @ d).min()), float((rows @ best).min())
        assert found >= wanted - 1e-5 * float(total.norm()) * largest(rows)


def test_cagrad_at_c_one_with_more_losses_than_dimensions(solved, random_rows):
    for seed in range(30):
        cagrad_without_common_descent(solved, random_rows(seed, 3, 2), 1.0)


@pytest.mark.parametrize("c", [0.4, 2.0])
def test_cagrad_with_more_losses_than_dimensions(c, solved, random_rows):
    for seed in range(30):
        cagrad_without_common_descent(solved, random_rows(seed, 3, 2, span=1.0), c)


@pytest.mark.parametrize(
    ("c", "angle"),
    [
        (0.4, 1e-2),
        (1.0, 1e-2),
        (2.0, 1e-2),
        (0.4, 1e-3),
        (0.4, 1e-4),
        (0.4, 1e-5),
        (1.0, 1e-5),
        (2.0, 1e-5),
    ],
)
def test_cagrad_when_a_third_loss_closes_a_thin_cone(c, angle, solved):
    rows = f64([[1.0, angle], [-1.0, angle], [0.0, -1.0]])
    cagrad_without_common_descent(solved, rows, c)


def test_cagrad_stays_in_its_ball_when_no_common_descent_exists(solved):
    rows = f64([[0.0085604, 0.0010892], [-916.19063, -117.38995], [2.98223, 2.77270]])
    cagrad_without_common_descent(solved, rows, 1.0)


@pytest.mark.parametrize("c", [0.1, 0.4])
def test_cagrad_stays_in_its_ball_beside_a_nearly_opposed_pair(c, solved):
    for exponent in range(12):
        for angle in (-2.5, -2.0, -1.0, -0.5):
            third = [math.cos(angle), math.sin(angle)]
            rows = f64([[1.0, 0.0], [-1.0, 10 ** (-3 - exponent / 4)], third])
            moved = solved("cagrad", rows, c=c)[1] - rows.sum(dim=0)
            assert float(moved.norm()) <= 1.001 * c * float(rows.sum(dim=0).norm())


# -- imtl_g, nash_mtl, config ------------------------------------------------------------------


@given(seed=seeds, shape=independent, span=spans)
def test_imtl_g_has_equal_projections_and_weights_of_sum_one(
    seed, shape, span, solved, random_rows
):
    rows = random_rows(seed, *shape, span=span)
    a, d, kinds = solved("imtl_g", rows)
    along = unit(rows) @ d
    assert along.tolist() == pytest.approx([float(along.mean())] * shape[0], rel=1e-8)
    assert along.mean() > 0
    if not kinds:
        assert abs(float(a.sum())) == pytest.approx(1.0, rel=1e-8)


@given(seed=seeds, shape=independent)
def test_imtl_g_is_the_closed_form_up_to_its_sign(seed, shape, solved, random_rows):
    rows = random_rows(seed, *shape, span=0.5)
    a, _d, kinds = solved("imtl_g", rows)
    expected = impartial(rows)
    if not kinds:
        sign = 1.0 if float(unit(rows)[0] @ (expected @ rows)) > 0 else -1.0
        torch.testing.assert_close(a, sign * expected, rtol=1e-6, atol=1e-8)


def test_imtl_g_turns_where_the_closed_form_raises_all_losses(solved):
    rows = f64([[2.0, 1.0, 0.0], [2.0, -1.0, 0.0], [1.0, 0.0, 0.1]])
    wrong = impartial(rows) @ rows
    assert (rows @ wrong < 0).all()
    a, d, _ = solved("imtl_g", rows)
    assert (rows @ d > 0).all()
    assert float(a.sum()) == pytest.approx(-1.0)
    torch.testing.assert_close(d, -wrong)


@pytest.mark.parametrize("scale", [1.0, 1.8, 1.82, 1.83, 2.0])
def test_imtl_g_is_never_longer_than_the_norms_together(scale, solved):
    """From 1 to 2 the sum of the weights before normalisation changes its sign."""
    rows = f64([[2.0, 1.0, 0.0], [2.0, -1.0, 0.0], [scale, 0.0, 0.1 * scale]])
    _, d, kinds = solved("imtl_g", rows)
    longest = float(rows.norm(dim=1).sum())
    assert float(d.norm()) <= longest * (1 + 1e-12)
    assert (kinds == ["cap"]) == (float((impartial(rows) @ rows).norm()) > longest)
    assert cosines(rows, d).tolist() == pytest.approx([float(cosines(rows, d)[0])] * 3)


@given(seed=seeds, shape=independent, span=spans)
def test_nash_gains_are_the_inverse_weights(seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    a, d, _ = solved("nash_mtl", rows, max_norm=math.inf)
    assert (a > 0).all()
    assert (a * (rows @ d)).tolist() == pytest.approx([1.0] * shape[0], rel=1e-8)
    assert float(d.norm()) == pytest.approx(math.sqrt(shape[0]), rel=1e-8)


@given(seed=seeds, shape=independent)
def test_nash_has_the_largest_product_of_gains(seed, shape, solved, random_rows):
    rows = random_rows(seed, *shape, span=3.0)
    d = solved("nash_mtl", rows)[1]
    assert float(d.norm()) == pytest.approx(1.0)
    torch.testing.assert_close(d, bargained(rows), rtol=1e-3, atol=1e-3)
    best = cosines(rows, bargained(rows))
    assert cosines(rows, d).log().sum() >= best.clamp_min(1e-300).log().sum() - 1e-9


@given(seed=seeds, shape=independent, span=st.sampled_from([1.0, 4.0, 8.0]))
@pytest.mark.parametrize("name", ["nash_mtl", "chebyshev", "config", "imtl_g"])
def test_direction_does_not_depend_on_the_scale_of_any_loss(
    name, seed, shape, span, solved, random_rows
):
    rows = random_rows(seed, *shape, span=span)
    directions = unit(solved(name, rows)[1]), unit(solved(name, unit(rows))[1])
    torch.testing.assert_close(*directions, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("max_norm", "length"),
    [(1.0, 1.0), (0.25, 0.25), (9.0, math.sqrt(2)), (math.inf, math.sqrt(2))],
)
def test_nash_is_shortened_and_never_lengthened(max_norm, length, solved):
    rows = f64([[30.0, 0.0], [0.0, 0.01]])
    d = solved("nash_mtl", rows, max_norm=max_norm)[1]
    assert d.tolist() == pytest.approx([length / math.sqrt(2)] * 2)


@given(seed=seeds, shape=independent, span=spans)
def test_config_has_equal_cosines_and_not_equal_products(seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span) * f64([3.0] + [1.0] * (shape[0] - 1))[:, None]
    d = solved("config", rows)[1]
    along = cosines(rows, d)
    assert along.min() > 0
    assert along.tolist() == pytest.approx([float(along.mean())] * shape[0], rel=1e-8)
    assert float(d.norm()) == pytest.approx(float((rows @ unit(d)).sum()), rel=1e-8)
    ratio = rows[0].norm() / rows[1].norm()
    assert float(rows[0] @ d / (rows[1] @ d)) == pytest.approx(float(ratio), rel=1e-7)


# -- aligned_mtl -------------------------------------------------------------------------------


@given(seed=seeds, shape=st.sampled_from([(2, 2), (2, 7), (3, 3), (4, 6)]), span=spans)
@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
def test_aligned_mtl_is_the_polar_factor_of_the_rows(scale, seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    expected = aligned(rows, scale)
    torch.testing.assert_close(
        solved("aligned_mtl", rows, scale=scale)[1],
        expected,
        rtol=1e-7,
        atol=1e-8 * float(expected.norm()),
    )


@given(seed=seeds, shape=independent)
def test_aligned_mtl_balances_to_orthogonal_gradients_of_one_length(
    seed, shape, solved, random_rows
):
    """By signs of the losses: ``(B J)(B J)^T = s I`` is ``|e B J|^2 = s K`` for all signs e."""
    rows = random_rows(seed, *shape)
    smallest = float(torch.linalg.svdvals(rows)[-1] ** 2)
    count = shape[0]
    for signs in itertools.product([1.0, -1.0], repeat=count - 1):
        flipped = rows * f64([1.0, *signs])[:, None]
        d = solved("aligned_mtl", flipped)[1]
        assert float(d @ d) == pytest.approx(count * smallest, rel=1e-7)


@ratios
def test_aligned_mtl_keeps_orthogonal_gradients_of_any_length(ratio, solved):
    c, d, _ = solved("aligned_mtl", f64([[3.0 * ratio, 0.0], [0.0, 1.0]]))
    shorter = min(3.0 * ratio, 1.0)
    assert d.tolist() == pytest.approx([shorter, shorter], rel=1e-12)
    assert c.tolist() == pytest.approx([shorter / (3.0 * ratio), shorter], rel=1e-12)


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
def test_aligned_mtl_leaves_dependent_components_out(scale, solved):
    """Rank 1, so that the only eigenvalue is 30 and the direction (1, 2) / sqrt 5."""
    rows = f64([[1.0, 2.0], [2.0, 4.0], [1.0, 2.0]])
    assert solved("aligned_mtl", rows, scale=scale)[1].tolist() == pytest.approx([4.0, 8.0])


# -- gradvac -----------------------------------------------------------------------------------


@given(seed=seeds, count=st.integers(2, 5), beta=st.sampled_from([0.0, 0.01, 0.5]), span=spans)
def test_gradvac_is_the_textbook_loop_over_several_steps(
    seed, count, beta, span, step, random_rows
):
    method, theirs = make("gradvac", beta=beta), torch.Generator().manual_seed(seed)
    ours = torch.Generator().manual_seed(seed)
    targets, state = torch.zeros(count, count, dtype=torch.float64), None
    for k in range(4):
        rows = random_rows(seed + k, count, 6, span=span)
        view = step(rows, generator=ours)
        c, state = method.update(view, state or method.init(view.spec))
        expected = vaccinated(rows, targets, beta, theirs)
        made_of = float((c * rows.norm(dim=1)).abs().sum())
        torch.testing.assert_close(c @ rows, expected, rtol=1e-7, atol=1e-9 * made_of)
        torch.testing.assert_close(state["memory"][0], targets, rtol=1e-9, atol=1e-10)


@given(seed=seeds, span=spans)
def test_first_gradvac_step_of_two_losses_is_pcgrads(seed, span, solved, random_rows):
    rows = random_rows(seed, 2, 5, span=span)
    torch.testing.assert_close(
        solved("gradvac", rows)[0], solved("pcgrad", rows)[0], rtol=1e-10, atol=1e-12
    )


@given(seed=seeds, span=spans)
def test_gradvac_gives_a_pair_the_cosine_it_usually_has(seed, span, step, random_rows):
    """Of two losses, each coefficient says how much of its gradient the other one took up."""
    method = make("gradvac", beta=1.0)
    usual = step(f64([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0]]))
    _, state = method.update(usual, method.init(usual.spec))
    rows = random_rows(seed, 2, 3, span=span)
    c, _ = method.update(step(rows), state)
    moved = rows + (c.flip(0) - 1)[:, None] * rows.flip(0)
    wanted = max(0.8, float(cosines(rows[:1], rows[1])))
    along = (unit(moved) * unit(rows).flip(0)).sum(dim=1)
    assert along.tolist() == pytest.approx([wanted, wanted], rel=1e-7)


def test_gradvac_by_hand(step):
    """Target 0.6 from the first step; then ``g_0' = (1, 0) + 3/4 (0, 1)`` and alike."""
    method = make("gradvac", beta=1.0)
    view = step(f64([[1.0, 0.0], [3.0, 4.0]]))
    c, state = method.update(view, method.init(view.spec))
    assert c.tolist() == [1.0, 1.0]
    assert state["memory"][0].fill_diagonal_(0).flatten().tolist() == pytest.approx(
        [0, 0.6, 0.6, 0]
    )
    c, _ = method.update(step(f64([[1.0, 0.0], [0.0, 2.0]])), state)
    assert (c @ f64([[1.0, 0.0], [0.0, 2.0]])).tolist() == pytest.approx([2.5, 2.75])


def test_gradvac_stays_finite_when_gradients_were_parallel_for_long(step):
    method = make("gradvac")
    view = step(f64([[1.0, 0.0], [5.0, 0.0]]))
    state = method.init(view.spec)
    for _ in range(60):
        _, state = method.update(step(f64([[1.0, 0.0], [5.0, 0.0]])), state)
    c, state = method.update(step(f64([[1.0, 0.0], [0.0, 1.0]])), state)
    assert c.isfinite().all()
    assert state["memory"].abs().max() < 1


def test_gradvac_of_a_zero_gradient_remembers_nothing_of_it(step):
    method, rows = make("gradvac"), f64([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    view = step(rows)
    c, state = method.update(view, method.init(view.spec))
    assert c.tolist() == [1.0, 1.0, 1.0]
    assert state["memory"][0][1].tolist() == [0.0, 0.0, 0.0]
    assert state["memory"][0][:, 1].tolist() == [0.0, 0.0, 0.0]


# -- dcgd --------------------------------------------------------------------------------------


@given(seed=seeds, shape=any_shape, span=spans, pdes=st.integers(1, 2))
@pytest.mark.parametrize("variant", ["center", "average", "projection"])
def test_dcgd_is_the_algorithm_on_both_groups(
    variant, seed, shape, span, pdes, solved, random_rows
):
    rows = random_rows(seed, *shape, span=span)
    equations = [k < min(pdes, shape[0] - 1) for k in range(shape[0])]
    expected = dual_cone_descent(rows, equations, variant)
    d = solved("dcgd", rows, equations=equations, variant=variant)[1]
    torch.testing.assert_close(d, expected, rtol=1e-7, atol=1e-9 * largest(rows))


@given(seed=seeds, shape=any_shape, span=spans)
@pytest.mark.parametrize("variant", ["center", "average", "projection"])
def test_dcgd_conflicts_with_neither_group(variant, seed, shape, span, solved, random_rows):
    rows = random_rows(seed, *shape, span=span)
    equations = [k % 2 == 0 for k in range(shape[0])]
    groups = torch.stack([rows[0::2].sum(dim=0), rows[1::2].sum(dim=0)])
    d = solved("dcgd", rows, equations=equations, variant=variant)[1]
    assert (unit(groups) @ d >= -1e-11 * largest(rows)).all()


@given(seed=seeds, span=spans)
def test_dcgd_projection_of_two_losses_is_dualproj(seed, span, solved, random_rows):
    rows = random_rows(seed, 2, 6, span=span)
    c, _, _ = solved("dcgd", rows, variant="projection")
    torch.testing.assert_close(c, solved("dualproj", rows)[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("variant", "expected"), [("average", [0.1, 0.7]), ("projection", [0.0, 1.0])]
)
def test_dcgd_by_hand(variant, expected, solved):
    """The sum (-1, 1) is against the first gradient only."""
    d = solved("dcgd", f64([[1.0, 0.0], [-2.0, 1.0]]), variant=variant)[1]
    assert d.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("variant", ["average", "projection"])
def test_dcgd_keeps_the_sum_of_balanced_gradients_in_conflict(variant, solved):
    rows = f64([[1.0, 0.0], [-0.9, 0.9]])
    assert solved("dcgd", rows, variant=variant)[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("variant", ["center", "average", "projection"])
def test_dcgd_of_a_group_that_cancels_is_the_sum(variant, solved, random_rows):
    g = random_rows(0, 2)
    rows = torch.cat([g, -g[:1]])
    c, _, _ = solved("dcgd", rows, equations=[True, False, True], variant=variant)
    assert c.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("variant", ["center", "average", "projection"])
@pytest.mark.parametrize("equations", [[True] * 3, [False] * 3])
def test_dcgd_of_one_group_is_the_sum(equations, variant, solved, random_rows):
    rows = random_rows(0, 3)
    assert solved("dcgd", rows, equations=equations, variant=variant)[0].tolist() == [1.0] * 3


# -- two losses --------------------------------------------------------------------------------


@given(seed=seeds, size=st.integers(2, 8), span=spans)
def test_config_of_two_is_dcgd_center(seed, size, span, solved, random_rows):
    rows = random_rows(seed, 2, size, span=span)
    config, dcgd = solved("config", rows)[0], solved("dcgd", rows)[0]
    torch.testing.assert_close(config, dcgd, rtol=1e-9, atol=0)


@given(seed=seeds, size=st.integers(2, 8), span=spans)
@pytest.mark.parametrize("name", CENTRES)
def test_the_direction_of_two_is_their_bisector(name, seed, size, span, solved, random_rows):
    rows = random_rows(seed, 2, size, span=span)
    bisector = unit(unit(rows).sum(dim=0))
    torch.testing.assert_close(unit(solved(name, rows)[1]), bisector, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", CENTRES)
def test_the_direction_of_two_is_their_bisector_at_any_ratio(name, solved):
    rows = f64([[1e13, 0.0], [-0.6, 0.8]])
    bisector = unit(f64([0.4, 0.8]))
    torch.testing.assert_close(unit(solved(name, rows)[1]), bisector, rtol=1e-8, atol=1e-9)


@given(seed=seeds, size=st.integers(2, 8), span=spans)
def test_upgrad_of_two_is_pcgrad(seed, size, span, solved, random_rows):
    """Of two gradients the nearest point to each without conflict is PCGrad's."""
    rows = random_rows(seed, 2, size, span=span)
    upgrad, pcgrad = solved("upgrad", rows)[0], solved("pcgrad", rows)[0]
    torch.testing.assert_close(upgrad, pcgrad, rtol=1e-9, atol=1e-12)
