"""Weights from statistics of gradients and from kernel traces, against the formulas in numpy."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from conflictopt import ConflictOptWarning, Losses, MethodError, MultiLossOptimizer, make

seeds = st.integers(0, 2**31)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

STATISTICS = ("grad_norm", "lr_annealing", "inverse_dirichlet", "db_pinn")
PERIODIC = (*STATISTICS, "ntk")
OFTEN = {
    "grad_norm": {"refresh": 2},
    "lr_annealing": {"refresh": 2},
    "inverse_dirichlet": {"refresh": 2},
    "db_pinn": {"refresh": 2},
    "ntk": {"refresh": 2},
}


def wrap(method, size=6, dtype=torch.float64, **options):
    theta = nn.Parameter(torch.zeros(size, dtype=dtype))
    return MultiLossOptimizer(torch.optim.SGD([theta], lr=0.0), method, **options)


def drive(opt, rows, values=None):
    """Weights of each step, in which loss k has the gradient ``[t][k]`` and the value ``[t][k]``.

    The learning rate is 0, so that the parameters stay at 0. Each loss is the square of one
    residual; by default its value is 1.
    """
    (theta,) = opt.param_groups[0]["params"]
    seen = []
    for t, now in enumerate(rows):
        g = torch.tensor(now).to(theta)
        roots = [1.0] * len(g) if values is None else np.sqrt(values[t]).tolist()
        pairs = enumerate(zip(g, roots, strict=True))
        r = {f"r{k}": row / (2 * o) @ theta[:, None] + o for k, (row, o) in pairs}
        opt.step({n: v.square().mean() for n, v in r.items()}, residuals=r)
        seen.append(opt.last.coefficients.double().numpy())
    return np.array(seen)


def draw(seed, steps, count, decades=0.5, size=6):
    """Gradients ``[T, K, P]`` at random, of norms within so many decades around 1."""
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-decades, decades, (steps, count, 1))
    return rng.standard_normal((steps, count, size)) * scale


def draw_values(seed, steps, count, decades=0.5):
    """Losses ``[T, K]`` at random within so many decades around 1."""
    return 10 ** np.random.default_rng(seed).uniform(-decades, decades, (steps, count))


def averaged(targets, momentum, refresh):
    """Weights that go on from ones by ``m w + (1 - m) target(t, w)`` every ``refresh`` steps."""
    seen, w = [], 1.0
    for t in range(len(targets)):
        if t % refresh == 0:
            w = momentum * w + (1 - momentum) * targets[t]
        seen.append(w * np.ones_like(targets[t]))
    return np.array(seen)


# -- grad_norm ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["mean", "sum", "one_sided"])
@given(seed=seeds, count=st.integers(2, 5), momentum=st.floats(0, 0.95))
def test_grad_norm_against_numpy(form, seed, count, momentum):
    rows = draw(seed, 7, count)
    norms = np.sqrt((rows**2).sum(axis=-1))
    targets = {
        "mean": norms.mean(axis=1, keepdims=True) / norms,
        "sum": norms.sum(axis=1, keepdims=True) / norms,
        "one_sided": np.maximum(1, norms[:, :1] / norms),
    }[form]
    method = make("grad_norm", form=form, momentum=momentum, refresh=3, cap=math.inf)
    np.testing.assert_allclose(
        drive(wrap(method), rows), averaged(targets, momentum, 3), rtol=1e-12
    )


def test_the_sum_form_is_the_mean_form_times_the_count():
    rows = draw(0, 1, 4)
    total, mean = (
        drive(wrap(make("grad_norm", form=f, momentum=0.0)), rows)[0] for f in ("sum", "mean")
    )
    np.testing.assert_allclose(total, 4 * mean, rtol=1e-12)
    assert (1 / total).sum() == pytest.approx(1)
    assert (total >= 1).all()


@pytest.mark.parametrize("form", ["mean", "sum"])
def test_grad_norm_undoes_the_scale_of_a_loss_up_to_a_common_factor(form):
    rows, scale = draw(3, 1, 3), np.array([1.0, 30.0, 0.2])
    method = make("grad_norm", form=form, momentum=0.0, cap=math.inf)
    first, second = (drive(wrap(method), c[:, None] * rows)[0] for c in (np.ones(3), scale))
    np.testing.assert_allclose(np.ptp(scale * second / first), 0, atol=1e-12)


# -- lr_annealing ------------------------------------------------------------------------------


def test_mean_variant_brings_the_mean_entries_to_one_size():
    rows = draw(5, 1, 4)
    w = drive(wrap(make("lr_annealing", variant="mean", momentum=0.0)), rows)[0]
    weighted = w * np.abs(rows[0]).mean(axis=1)
    np.testing.assert_allclose(weighted, weighted[0], rtol=1e-12)


@pytest.mark.parametrize("variant", ["mean", "raw", "weighted"])
def test_lr_annealing_divides_the_weight_of_a_condition_by_its_scale(variant):
    rows, scale = draw(5, 1, 3), np.array([1.0, 20.0, 0.3])
    method = make("lr_annealing", variant=variant, momentum=0.0)
    first, second = (drive(wrap(method), c[:, None] * rows)[0] for c in (np.ones(3), scale))
    np.testing.assert_allclose(second, first / scale, rtol=1e-12)


# -- inverse_dirichlet -------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["equations", "max"])
@given(seed=seeds, equations=st.integers(1, 3), momentum=st.floats(0, 0.95))
def test_inverse_dirichlet_against_numpy(reference, seed, equations, momentum):
    rows = draw(seed, 7, 4)
    spread = rows.std(axis=-1, ddof=1)
    taken = spread[:, :equations] if reference == "equations" else spread
    targets = taken.max(axis=1, keepdims=True) / spread
    method = make(
        "inverse_dirichlet", reference=reference, momentum=momentum, refresh=3, cap=math.inf
    )
    opt = wrap(method, equations=[f"r{k}" for k in range(equations)])
    np.testing.assert_allclose(drive(opt, rows), averaged(targets, momentum, 3), rtol=1e-12)


@pytest.mark.parametrize("reference", ["equations", "max"])
@given(seed=seeds, count=st.integers(2, 5))
def test_weighted_gradients_have_one_standard_deviation(reference, seed, count):
    rows = draw(seed, 1, count)
    w = drive(wrap(make("inverse_dirichlet", reference=reference, momentum=0.0)), rows)[0]
    weighted = w * rows[0].std(axis=1, ddof=1)
    np.testing.assert_allclose(weighted, weighted[0], rtol=1e-12)


def test_a_constant_added_to_a_gradient_changes_no_deviation():
    rows, method = draw(1, 1, 3), make("inverse_dirichlet", momentum=0.0)
    first, second = (drive(wrap(method), rows + c)[0] for c in (0.0, 7.0))
    np.testing.assert_allclose(first, second, rtol=1e-12)


def test_the_largest_deviation_as_reference_gives_that_loss_one_and_others_more():
    rows = draw(1, 1, 4)
    w = drive(wrap(make("inverse_dirichlet", reference="max", momentum=0.0)), rows)[0]
    assert w.min() == w[rows[0].std(axis=1).argmax()] == 1


# -- db_pinn -----------------------------------------------------------------------------------


def kurtosis(g):
    return (((g - g.mean()) / g.std(ddof=1)) ** 4).mean()


def ratio_of_statistics(statistic, above, below, weight):
    if statistic == "mean":
        return np.abs(above).max() / np.abs(weight * below).mean()
    if statistic == "std":
        return above.std(ddof=1) / below.std(ddof=1)
    return above.std(ddof=1) / kurtosis(above) / (below.std(ddof=1) / kurtosis(below))


def db_pinn(rows, values, statistic, equations, refresh):
    """Weights of each step, and the targets of each refresh."""
    w, targets, losses, seen = np.ones(rows.shape[1]), [], [], []
    for t, (g, loss) in enumerate(zip(rows, values, strict=True)):
        if t % refresh == 0:
            losses.append(loss)
            difficulty = (loss / np.mean(losses, axis=0))[equations:]
            equation = g[:equations].sum(axis=0)
            total = sum(
                ratio_of_statistics(statistic, equation, below, old)
                for below, old in zip(g[equations:], w[equations:], strict=True)
            )
            targets.append(total * difficulty / difficulty.sum())
            w = np.concatenate([np.ones(equations), np.mean(targets, axis=0)])
        seen.append(w)
    return np.array(seen), np.array(targets)


@pytest.mark.parametrize("statistic", ["mean", "std", "kurtosis"])
@given(seed=seeds, equations=st.integers(1, 2), conditions=st.integers(1, 3))
def test_db_pinn_against_numpy(statistic, seed, equations, conditions):
    count = equations + conditions
    rows, values = draw(seed, 9, count), draw_values(seed, 9, count)
    method = make("db_pinn", statistic=statistic, refresh=2, cap=math.inf)
    opt = wrap(method, equations=[f"r{k}" for k in range(equations)])
    expected, _ = db_pinn(rows, values, statistic, equations, 2)
    np.testing.assert_allclose(drive(opt, rows, values), expected, rtol=1e-10)


@pytest.mark.parametrize("statistic", ["mean", "std", "kurtosis"])
def test_the_first_weights_of_conditions_share_the_ratio_evenly(statistic):
    rows, values = draw(4, 1, 4), draw_values(4, 1, 4)
    w = drive(wrap(make("db_pinn", statistic=statistic)), rows, values)[0]
    ratios = [ratio_of_statistics(statistic, rows[0, 0], g, 1.0) for g in rows[0, 1:]]
    assert w[1:].sum() == pytest.approx(sum(ratios))
    np.testing.assert_allclose(w[1:], sum(ratios) / 3, rtol=1e-12)


def test_conditions_of_equal_difficulty_share_evenly_at_every_refresh():
    fall = np.exp(-0.2 * np.arange(6))[:, None]
    w = drive(wrap(make("db_pinn", refresh=1)), draw(6, 6, 4), fall * [1.0, 0.01, 3.0, 200.0])
    np.testing.assert_allclose(w[:, 1:], w[:, 1:2] * np.ones(3), rtol=1e-12)


def test_the_condition_that_fell_least_gets_the_largest_share():
    values = np.array([[1.0, 1.0, 1.0], [1.0, 0.1, 0.9]])
    w = drive(wrap(make("db_pinn", refresh=1)), draw(6, 2, 3), values)
    assert w[1, 2] > w[1, 1]


def test_db_pinn_weights_are_the_mean_of_all_targets():
    rows, values = draw(2, 5, 3), draw_values(2, 5, 3)
    rows[3, 0] *= 400
    w = drive(wrap(make("db_pinn", refresh=1, statistic="std", cap=math.inf)), rows, values)
    targets = db_pinn(rows, values, "std", 1, 1)[1]
    np.testing.assert_allclose(w[-1, 1:], targets.mean(axis=0), rtol=1e-12)
    assert (w[3, 1:] < targets[3] / 3.5).all()


def test_db_pinn_keeps_equations_at_exactly_one():
    opt = wrap(make("db_pinn", refresh=1), equations=["r0", "r2"])
    w = drive(opt, draw(2, 6, 4), draw_values(2, 6, 4))
    assert (w[:, [0, 2]] == 1).all()
    assert (w[:, [1, 3]] != 1).all()


def test_a_condition_of_db_pinn_without_gradient_keeps_its_weight():
    rows, values = draw(2, 4, 4), draw_values(2, 4, 4)
    rows[1:3, 2] = 0.0
    w = drive(wrap(make("db_pinn", refresh=1)), rows, values)
    assert w[0, 2] == w[1, 2] == w[2, 2] != w[3, 2]
    ratios = [np.abs(rows[1, 0]).max() / np.abs(w[0, k] * rows[1, k]).mean() for k in (1, 3)]
    assert (2 * w[1] - w[0])[[1, 3]].sum() == pytest.approx(sum(ratios))


@pytest.mark.parametrize("name", ["inverse_dirichlet", "db_pinn", "lr_annealing"])
def test_statistics_are_of_the_parameters_that_a_loss_reaches(name):
    first, second = torch.tensor([1.0, -2.0, 6.0]), torch.tensor([5.0, -1.0])
    a, b = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))
    method = make(name, **({} if name == "db_pinn" else {"momentum": 0.0}))
    opt = MultiLossOptimizer(torch.optim.SGD([a, b], lr=0.0), method)
    opt.step({"pde": first @ a, "bc": 1 + second @ b})
    deviations = float(np.std(first.numpy(), ddof=1) / np.std(second.numpy(), ddof=1))
    expected = deviations if name == "inverse_dirichlet" else 6.0 / 3.0
    assert opt.last.coefficients.tolist() == pytest.approx([1.0, expected])


# -- ntk ---------------------------------------------------------------------------------------


def network(dtype=torch.float64, inside=9):
    """Parameters and residuals, two columns wide inside, of a small network."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)
    x = torch.linspace(0, 1, inside, dtype=dtype)[:, None].requires_grad_()

    def residuals():
        u = net(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        edge = net(torch.tensor([[0.0], [1.0]], dtype=dtype))
        return {"flow": slope - u, "wall": edge[:, 0] - 1, "data": 3 * edge[:, 1] * edge[:, 0]}

    return list(net.parameters()), residuals


def jacobian_trace(r, params):
    """``tr(J J^T) / N`` by one backward pass for each entry of the residual."""
    total = 0.0
    for entry in r.flatten():
        grads = torch.autograd.grad(entry, params, retain_graph=True, allow_unused=True)
        total += sum(float(g.double().square().sum()) for g in grads if g is not None)
    return total / r.numel()


def mean_squares(residuals):
    return {n: r.square().mean() for n, r in residuals.items()}


@both_dtypes
@pytest.mark.parametrize("inside", [3, 80])
@pytest.mark.slow
def test_exact_traces_are_those_of_the_jacobian(dtype, inside):
    params, residuals = network(dtype, inside)
    opt = MultiLossOptimizer(
        torch.optim.SGD(params, lr=0.0), make("ntk", probes="exact", momentum=0.0)
    )
    r = residuals()
    opt.step(mean_squares(r), residuals=r)
    traces = np.array([jacobian_trace(v, params) for v in residuals().values()])
    expected = traces.mean() / traces
    np.testing.assert_allclose(opt.last.coefficients.double().numpy(), expected, rtol=1e-5)
    assert opt.last.coefficients.dtype == dtype


def test_exact_traces_of_several_residual_sets_add_with_their_weights():
    params, residuals = network()
    r = residuals()
    pairs = {"both": ((r["flow"], 2.0), (r["wall"], 0.25)), "data": ((r["data"], 7.0),)}
    terms = tuple(sum(w * v.square().mean() for v, w in p) for p in pairs.values())
    traces = np.array([sum(w * jacobian_trace(v, params) for v, w in p) for p in pairs.values()])
    opt = MultiLossOptimizer(
        torch.optim.SGD(params, lr=0.0), make("ntk", probes="exact", momentum=0.0)
    )
    opt.step(Losses(tuple(pairs), terms, (0, 1), pairs))
    np.testing.assert_allclose(opt.last.coefficients, traces.mean() / traces, rtol=1e-10)


def test_ntk_weights_over_a_run_against_the_jacobian():
    params, residuals = network()
    opt = MultiLossOptimizer(
        torch.optim.SGD(params, lr=0.05), make("ntk", probes="exact", momentum=0.6, refresh=3)
    )
    expected = np.ones(3)
    for t in range(8):
        if t % 3 == 0:
            traces = np.array([jacobian_trace(v, params) for v in residuals().values()])
            expected = 0.6 * expected + 0.4 * traces.mean() / traces
        r = residuals()
        opt.step(mean_squares(r), residuals=r)
        np.testing.assert_allclose(opt.last.coefficients, expected, rtol=1e-10)


@pytest.mark.parametrize("probes", ["exact", 1])
def test_traces_leave_out_unknowns_and_adapters(probes):
    net, nu, extra = (nn.Parameter(torch.ones(n, dtype=torch.float64)) for n in (2, 1, 1))
    a = torch.tensor([[3.0, 4.0], [1.0, 0.0]], dtype=torch.float64)
    r = {n: (row @ net + 50 * nu + 9 * extra) for n, row in zip(("pde", "bc"), a, strict=True)}
    opt = MultiLossOptimizer(
        torch.optim.SGD([net, nu, extra], lr=0.0),
        make("ntk", probes=probes, momentum=0.0),
        blocks={"physics": [nu], "adapter/bc": [extra]},
    )
    opt.step(mean_squares(r), residuals=r)
    assert opt.last.coefficients.tolist() == pytest.approx([13 / 25, 13.0])


@pytest.mark.parametrize("probes", [1, 3])
def test_probes_are_unbiased(probes, step):
    points = torch.tensor(draw(0, 1, 5)[0])
    generator = torch.Generator().manual_seed(0)
    view = step([points, 2 * points], generator=generator)
    found = torch.stack([view.residual_traces(probes) for _ in range(400)]).numpy()
    exact = view.residual_traces(None).numpy()
    trace = float(points.square().sum() / 5)
    assert exact.tolist() == pytest.approx([trace, 4 * trace])
    error = found.std(axis=0, ddof=1) / math.sqrt(400)
    assert (error > 0).all()
    assert (np.abs(found.mean(axis=0) - exact) < 4 * error).all()


def test_the_trace_is_not_the_square_of_the_summed_gradient(step):
    opposed = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    assert step([opposed, opposed]).residual_traces(None).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("probes", ["exact", 1])
@given(seed=seeds, count=st.integers(2, 5))
def test_a_smaller_trace_gets_a_larger_weight(probes, seed, count):
    rows = draw(seed, 1, count)
    w = drive(wrap(make("ntk", probes=probes, momentum=0.0)), rows)[0]
    traces = (rows[0] ** 2).sum(axis=1)
    assert np.argsort(w).tolist() == np.argsort(traces)[::-1].tolist()
    assert (1 / w).sum() == pytest.approx(count)


@pytest.mark.parametrize("probes", ["exact", 2])
def test_ntk_refuses_a_loss_without_residuals(probes):
    params, residuals = network()
    opt = MultiLossOptimizer(torch.optim.SGD(params, lr=0.0), make("ntk", probes=probes))
    r = residuals()
    with pytest.raises(MethodError, match="needs the residuals of every loss and got none for"):
        opt.step(mean_squares(r))
    with pytest.raises(MethodError, match="got none for 'data'"):
        opt.step(mean_squares(r), residuals={n: r[n] for n in ("flow", "wall")})


@pytest.mark.parametrize(
    "probes",
    [
        3,
        "exact",
    ],
)
def test_a_residual_set_without_parameters_adds_no_trace(probes):
    opt = wrap(make("ntk", probes=probes, momentum=0.0), size=1)
    (theta,) = opt.param_groups[0]["params"]
    fixed = torch.ones(4, dtype=torch.float64)
    pairs = {"pde": ((3 * theta + 1, 1.0), (fixed, 1.0)), "bc": ((theta + 1, 1.0),)}
    terms = tuple(sum(w * v.square().mean() for v, w in p) for p in pairs.values())
    opt.step(Losses(tuple(pairs), terms, (0, 1), pairs))
    assert opt.last.coefficients.tolist() == pytest.approx([5 / 9, 5.0])


class Branching(torch.autograd.Function):
    """The identity, whose backward pass looks at values."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad if float(grad.sum()) >= 0 else grad.clone()


def test_exact_traces_say_when_a_graph_cannot_be_vectorised():
    opt = wrap(make("ntk", probes="exact"), size=2)
    (theta,) = opt.param_groups[0]["params"]
    r = {"pde": Branching.apply(theta) + 1, "bc": theta + 1}
    with pytest.raises(MethodError, match=r"cannot vectorise .* choose a number of probes"):
        opt.step(mean_squares(r), residuals=r)


# -- caps --------------------------------------------------------------------------------------

UNEVEN = np.tile(np.array([[1.0, -2.0], [1e-3, 3e-3], [1e-4, -1e-4]]), (7, 1, 1))


@pytest.mark.parametrize("name", PERIODIC)
@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
@given(seed=seeds, cap=st.floats(1.0, 30.0))
def test_weights_stay_between_the_cap_and_its_inverse(name, seed, cap):
    opt = wrap(make(name, cap=cap, **OFTEN[name]))
    w = drive(opt, draw(seed, 6, 4, decades=3.0), draw_values(seed, 6, 4, decades=3.0))
    assert w.max() <= cap * (1 + 1e-12)
    assert w.min() >= (1 - 1e-12) / cap


@pytest.mark.parametrize("name", PERIODIC)
def test_the_cap_says_which_weight_it_kept(name):
    opt = wrap(make(name, cap=5.0, **OFTEN[name]), size=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drive(opt, UNEVEN)
    report = opt.reports["cap"]
    assert (report.count, report.first, report.last) == (4, 0, 6)
    assert [w.category for w in caught] == [ConflictOptWarning]
    assert "(cap, step 0)" in str(caught[0].message)
    assert "weights are kept in [0.2, 5], found " in report.message
    assert "for 'r2'" in report.message


@pytest.mark.parametrize("name", PERIODIC)
def test_an_infinite_cap_lifts_the_bound(name):
    opt = wrap(make(name, cap=math.inf, **OFTEN[name]), size=2)
    assert drive(opt, UNEVEN).max() > 50
    assert not opt.reports


@pytest.mark.parametrize("name", PERIODIC)
def test_a_bound_that_changes_nothing_is_not_reported(name, step):
    method, view = make(name, cap=1e9), step(torch.from_numpy(UNEVEN[0]))
    method.update(view, method.init(view.spec))
    assert view._notes == []


# -- edges -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PERIODIC)
@pytest.mark.parametrize("equations", [["r0"], []])
@both_dtypes
def test_a_single_loss_keeps_weight_one(name, equations, dtype):
    options = {"form": "sum"} if name == "grad_norm" else {}
    opt = wrap(make(name, **OFTEN[name], **options), dtype=dtype, equations=equations)
    w = drive(opt, draw(0, 12, 1, decades=6.0), draw_values(0, 12, 1, decades=6.0))
    assert (w == 1).all()
    assert not opt.reports


@pytest.mark.parametrize("name", PERIODIC)
@both_dtypes
@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
@given(seed=seeds, count=st.integers(2, 5))
def test_weights_stay_finite_at_extreme_losses_and_gradients(name, dtype, seed, count):
    opt = wrap(make(name, **OFTEN[name]), dtype=dtype)
    rows = draw(seed, 6, count, decades=12.0)
    w = drive(opt, rows, draw_values(seed, 6, count, decades=12.0))
    assert np.isfinite(w).all()
    assert (w > 0).all()


@pytest.mark.parametrize("name", PERIODIC)
def test_weights_are_finite_and_not_zero_before_the_second_refresh(name):
    opt = wrap(make(name, refresh=100))
    w = drive(opt, draw(0, 4, 3))
    assert np.isfinite(w).all()
    assert (w > 0).all()


@pytest.mark.parametrize("name", PERIODIC)
@pytest.mark.parametrize("when", [slice(0, 1), slice(2, 3), slice(0, None)])
@pytest.mark.parametrize("which", [[0], [1], [1, 2], [0, 1, 2]])
def test_gradients_of_zero_are_no_obstacle(name, when, which):
    rows = draw(1, 6, 3)
    rows[when, which] = 0.0
    w = drive(wrap(make(name, **OFTEN[name])), rows)
    assert np.isfinite(w).all()
    assert (w > 0).all()


@pytest.mark.parametrize("name", STATISTICS)
def test_a_loss_that_is_zero_is_no_obstacle(name):
    opt = wrap(make(name, **OFTEN[name]))
    (theta,) = opt.param_groups[0]["params"]
    for _ in range(4):
        opt.step({"pde": (theta - 1).square().mean(), "bc": theta.square().mean()})
    assert opt.last.coefficients.isfinite().all()
    assert opt.last.coefficients[1] == 1


@pytest.mark.parametrize("name", PERIODIC)
def test_float32_gradients_are_weighted_as_in_float64(name):
    rows, values = draw(3, 6, 3).astype(np.float32), draw_values(3, 6, 3).astype(np.float32)
    narrow, wide = (
        drive(wrap(make(name, **OFTEN[name]), dtype=d), rows, values)
        for d in (torch.float32, torch.float64)
    )
    np.testing.assert_allclose(narrow, wide, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("inverse_dirichlet", {"reference": "min"}, "expected reference='equations' or 'max'"),
        ("inverse_dirichlet", {"momentum": 1.0}, r"expected momentum in \[0, 1\), found 1\.0"),
        ("db_pinn", {"statistic": "var"}, "expected statistic='mean', 'std' or 'kurtosis'"),
        ("db_pinn", {"cap": 0.9}, r"expected cap >= 1, found 0\.9"),
        ("db_pinn", {"refresh": 0}, "expected refresh as a positive integer, found 0"),
        ("grad_norm", {"form": "max"}, "expected form='mean', 'sum' or 'one_sided', found 'max'"),
    ],
)
def test_refused_options(name, options, message):
    with pytest.raises(MethodError, match=message):
        make(name, **options)


@pytest.mark.parametrize("statistic", ["std", "kurtosis"])
def test_db_pinn_leaves_out_what_no_equation_reaches(statistic):
    a, b = (torch.nn.Parameter(torch.zeros(4, dtype=torch.float64)) for _ in range(2))
    method = make("db_pinn", statistic=statistic)
    opt = MultiLossOptimizer(torch.optim.SGD([a, b], lr=0.0), method)
    along = torch.tensor([3.0, -1.0, 2.0, 5.0], dtype=torch.float64)
    opt.step({"pde": along @ a + 1, "bc": along @ a + 0 * b.sum().detach() + 1})
    assert opt.last.coefficients.tolist() == pytest.approx([1.0, 1.0])
