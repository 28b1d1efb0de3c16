"""One step against the formula, and all that a step leaves alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from conflictopt import LevenbergMarquardt, LossError, NonFiniteError
from conflictopt.curvature.search import _LONGEST

PLAIN = {"rows": None, "trials": 1, "geodesic": False}


def flat(net):
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()]).numpy()


def dense_step(row_by_row, net, residuals, weights, damping):
    """``(S^T S + lambda I)^-1 S^T r``, for the scaled Jacobian S."""
    params = list(net.parameters())
    blocks, values = [], []
    for name, r in residuals.items():
        scale = (weights.get(name, 1.0) / r.numel()) ** 0.5
        blocks.append(scale * row_by_row(r, params).numpy())
        values.append(scale * r.detach().reshape(-1).numpy())
    s, r = np.concatenate(blocks), np.concatenate(values)
    n, p = s.shape
    lam = damping * np.trace(s @ s.T) / min(n, p)
    return np.linalg.solve(s.T @ s + lam * np.eye(p), s.T @ r)


@pytest.mark.parametrize("lr", [1.0, 0.25])
@pytest.mark.parametrize("points", [10, 80], ids=["N<P", "N>P"])
def test_a_step_is_that_of_the_dense_formula(make_heat, row_by_row, points, lr):
    heat = make_heat(points)
    net, weights = heat.net(), {"ic": 7.0}
    before = flat(net)
    expected = dense_step(row_by_row, net, heat.residuals(net), weights, 0.5)
    opt = LevenbergMarquardt(net, lr=lr, damping=0.5, **PLAIN)
    opt.step(lambda: {n: (r, weights.get(n, 1.0)) for n, r in heat.residuals(net).items()})
    assert opt.last.taken
    assert opt.last.rows == 2 * points
    np.testing.assert_allclose(flat(net), before - lr * expected, rtol=0, atol=1e-10)


def test_the_loss_before_and_after_is_the_weighted_sum_of_mean_squares(heat):
    net = heat.net()

    def loss():
        r = {n: v.detach() for n, v in heat.residuals(net).items()}
        return float(r["pde"].square().mean() + 3.0 * r["ic"].square().mean())

    before = loss()
    opt = LevenbergMarquardt(net, rows=None)
    given = opt.step(
        lambda: {"pde": (heat.residuals(net)["pde"], 1.0), "ic": (heat.residuals(net)["ic"], 3.0)}
    )
    assert given == opt.last.before == pytest.approx(before, rel=1e-12)
    assert opt.last.after == pytest.approx(loss(), rel=1e-12)
    assert opt.last.after < opt.last.before


def test_several_residuals_of_a_loss_add_up(heat):
    net, other = heat.net(), heat.net()
    one, two = (LevenbergMarquardt(n, rows=None) for n in (net, other))
    one.step(lambda: {"all": [*heat.residuals(net).values()]})
    two.step(lambda: heat.residuals(other))
    np.testing.assert_array_equal(flat(net), flat(other))


def test_linear_least_squares_take_one_step_without_damping():
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(30, 4, generator=draw, dtype=torch.float64)
    y = torch.randn(30, generator=draw, dtype=torch.float64)
    theta = nn.Parameter(torch.zeros(4, 1, dtype=torch.float64))
    LevenbergMarquardt([theta], rows=None, damping=1e-14).step(lambda: {"r": (a @ theta)[:, 0] - y})
    solution = np.linalg.lstsq(a.numpy(), y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(theta.detach().numpy()[:, 0], solution, rtol=0, atol=1e-11)


class Curved:
    """Residuals ``A t - y + s q (c . t)^2 / 2``; along d they curve by ``s q (c . d)^2``."""

    def __init__(self, size):
        draw = torch.Generator().manual_seed(2)
        self.a, self.y, self.q, self.c = (
            torch.randn(*shape, generator=draw, dtype=torch.float64)
            for shape in ((20, 5), (20,), (20,), (5,))
        )
        self.q *= size
        self.theta = nn.Parameter(torch.zeros(5, dtype=torch.float64))

    def __call__(self):
        t = self.theta
        return {"r": self.a @ t - self.y + 0.5 * self.q * (self.c @ t) ** 2}

    def first_and_second(self, damping):
        s, r = self.a.numpy() / 20**0.5, -self.y.numpy() / 20**0.5
        lam = damping * np.trace(s.T @ s) / 5
        inverse = np.linalg.inv(s.T @ s + lam * np.eye(5)) @ s.T
        first = -inverse @ r
        along = self.q.numpy() * (self.c.numpy() @ first) ** 2 / 20**0.5
        return first, -inverse @ along


@pytest.mark.parametrize("lr", [1.0, 0.5])
def test_the_correction_is_half_the_second_directional_derivative(lr):
    problem = Curved(0.2)
    first, second = problem.first_and_second(0.1)
    assert 0.01 < 2 * np.linalg.norm(second) / np.linalg.norm(first) < _LONGEST
    opt = LevenbergMarquardt([problem.theta], lr=lr, rows=None, trials=1, damping=0.1)
    opt.step(problem)
    assert opt.last.taken
    expected = lr * (first + 0.5 * second)
    np.testing.assert_allclose(problem.theta.detach().numpy(), expected, rtol=0, atol=1e-11)


def test_a_correction_that_is_not_small_is_left_out():
    problem = Curved(2.0)
    first, second = problem.first_and_second(0.1)
    assert 2 * np.linalg.norm(second) / np.linalg.norm(first) > _LONGEST
    opt = LevenbergMarquardt([problem.theta], rows=None, trials=1, damping=0.1)
    opt.step(problem)
    assert opt.last.taken
    np.testing.assert_allclose(problem.theta.detach().numpy(), first, rtol=0, atol=1e-11)


# -- steps that are not taken ------------------------------------------------------------------


class Counted:
    """Residuals of a net, and what happens at the evaluation number ``at``, from 1."""

    def __init__(self, heat, net, at, happens):
        self.heat, self.net, self.at, self.happens, self.calls = heat, net, at, happens, 0

    def __call__(self):
        self.calls += 1
        found = self.heat.residuals(self.net)
        return self.happens(found) if self.calls >= self.at else found


def worse(found):
    return {n: 100 * (1 + r.abs()) for n, r in found.items()}


def interrupt(found):
    raise KeyboardInterrupt


def fail(found):
    raise ValueError("a closure of the user's")


def nan(found):
    return {**found, "ic": found["ic"] * torch.nan}


def infinite_slope(found):
    return {**found, "ic": found["ic"] + (0 * found["ic"]).sqrt()}


def test_a_refused_step_leaves_the_parameters_bitwise(heat, same):
    net = heat.net()
    opt = LevenbergMarquardt(net, rows=None, trials=3, higher=2.0, keep_best=False)
    heat.train(net, opt, 2)
    before, memory = flat(net), dict(opt.state_dict()["state"][0])
    closure = Counted(heat, net, 2, worse)
    opt.step(closure)
    assert not opt.last.taken
    assert opt.last.after == opt.last.before
    assert (opt.last.trials, closure.calls) == (3, 1 + 2 * 3)
    np.testing.assert_array_equal(flat(net), before)
    now = opt.state_dict()["state"][0]
    # two more trials had twice the damping each, and so has the next step's first
    assert now["damping"] == pytest.approx(8 * memory["damping"], rel=1e-12)
    for name in ("steps", "refused_in_a_row"):
        assert now[name] == memory[name] + 1
    heat.train(net, opt, 1)
    assert opt.last.taken
    assert opt.state_dict()["state"][0]["refused_in_a_row"] == 0


def test_trials_that_overshoot_into_nan_are_refused(heat):
    net = heat.net()
    before = flat(net)
    opt = LevenbergMarquardt(net, rows=None, trials=2)
    opt.step(Counted(heat, net, 2, nan))
    assert not opt.last.taken
    np.testing.assert_array_equal(flat(net), before)


@pytest.mark.parametrize("at", [1, 2, 3], ids=["first", "ahead", "trial"])
@pytest.mark.parametrize(("happens", "error"), [(interrupt, KeyboardInterrupt), (fail, ValueError)])
def test_a_closure_that_raises_leaves_everything(heat, same, through_a_file, at, happens, error):
    net = heat.net()
    opt = LevenbergMarquardt(net, rows=None, measured=("ic",))
    heat.train(net, opt, 2)
    before, state, last = flat(net), through_a_file(opt.state_dict()), opt.last
    with pytest.raises(error):
        opt.step(Counted(heat, net, at, happens))
    np.testing.assert_array_equal(flat(net), before)
    assert same(opt.state_dict(), state)
    assert opt.last is last
    # and the run goes on as if that step had never been tried
    other = heat.net()
    heat.train(other, LevenbergMarquardt(other, rows=None, measured=("ic",)), 4)
    heat.train(net, opt, 2)
    assert same(net, other)


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        (nan, "expected finite residuals, found inf or nan in ic"),
        (infinite_slope, "expected finite derivatives of the residuals, found inf or nan"),
    ],
)
@pytest.mark.parametrize("engine", ["auto", "batched"])
def test_what_is_not_finite_raises_and_changes_nothing(
    heat, same, through_a_file, happens, message, engine
):
    net = heat.net()
    opt = LevenbergMarquardt(net, rows=None, engine=engine, measured=("ic",))
    heat.train(net, opt, 1)
    before, state = flat(net), through_a_file(opt.state_dict())
    with pytest.raises(NonFiniteError, match=message):
        opt.step(Counted(heat, net, 1, happens))
    np.testing.assert_array_equal(flat(net), before)
    assert same(opt.state_dict(), state)


def test_a_step_along_wrong_rows_is_not_taken_twice(heat):
    """Rows that move unnoticed, at points where they are not looked at, are after such a step."""
    net = heat.net()
    opt = LevenbergMarquardt(net, rows=None, trials=2)
    heat.train(net, opt, 5)
    opt.step(Counted(heat, net, 2, worse))
    assert (opt.last.taken, opt.notes) == (False, [])
    order = torch.arange(len(heat.points) - 1, -1, -1)

    def turned(found):
        return {n: r[order] for n, r in found.items()}

    opt.step(Counted(heat, net, 1, turned))
    # the second residual was found out anew
    assert opt.notes == ["rows of residual 0 are coupled: each takes a backward pass"]


def test_where_nothing_can_be_lowered_the_step_is_refused(heat):
    theta = nn.Parameter(torch.ones(3, dtype=torch.float64))
    opt = LevenbergMarquardt([theta], rows=None)
    opt.step(lambda: {"r": 0 * theta + 1})
    assert not opt.last.taken
    assert theta.tolist() == [1.0] * 3


def test_a_long_row_of_refused_steps_is_told(heat):
    theta = nn.Parameter(torch.ones(3, dtype=torch.float64))
    opt = LevenbergMarquardt([theta], rows=None, trials=1)
    for _ in range(11):
        opt.step(lambda: {"r": 0 * theta + 1})
    assert not opt.stuck
    opt.step(lambda: {"r": 0 * theta + 1})
    assert opt.stuck


def test_convergence_is_told():
    theta = nn.Parameter(torch.ones(2, dtype=torch.float64))
    opt = LevenbergMarquardt([theta], rows=None, damping=1e-12)
    assert not opt.converged
    for _ in range(3):
        opt.step(lambda: {"r": 2 * theta - 1})
    assert opt.converged


# -- what is none of its business --------------------------------------------------------------


def test_gradients_random_state_and_settings_stay(heat):
    net = heat.net()
    for p in net.parameters():
        p.grad = torch.full_like(p, 3.0)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  (the global state is what this is about)
    random.seed(5)

    def settings():
        return (
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            [p.requires_grad for p in net.parameters()],
        )

    before = settings()
    opt = LevenbergMarquardt(net, rows=40)
    heat.train(net, opt, 3)
    assert settings() == before
    assert all(bool((p.grad == 3.0).all()) for p in net.parameters())


def test_parameters_keep_their_memory(heat):
    net = heat.net()
    places = [p.data_ptr() for p in net.parameters()]
    heat.train(net, LevenbergMarquardt(net), 2)
    assert [p.data_ptr() for p in net.parameters()] == places


def test_a_step_under_no_grad_is_the_same(heat, same):
    net, other = heat.net(), heat.net()
    heat.train(net, LevenbergMarquardt(net), 2)
    opt = LevenbergMarquardt(other)
    for _ in range(2):
        with torch.no_grad():
            opt.step(lambda: heat.residuals(other))
    assert same(net, other)


def test_float32_networks_learn_too(heat):
    net = heat.net().float()
    heat.points = heat.points.float()

    def residuals():
        x = heat.points
        return {"fit": net(x)[:, 0] - torch.sin(3 * x[:, 0])}

    opt = LevenbergMarquardt(net)
    losses = [opt.step(residuals) for _ in range(30)]
    assert losses[-1] < 1e-3 * losses[0]
    assert all(p.dtype == torch.float32 for p in net.parameters())


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda r: None, "found NoneType"),
        (lambda r: {}, "found dict"),
        (lambda r: r.square().mean(), r"patch\(model, 'sum'\)"),
        (lambda r: {"a": 1.0}, "residuals of loss 'a', found float"),
        (lambda r: {"a": []}, "residuals of loss 'a', found list"),
        (
            lambda r: {"a": r[:0]},
            r"loss 'a' as a non-empty real tensor, found torch.float64 \[0, 1\]",
        ),
        (lambda r: {"a": r.long()}, "loss 'a' as a non-empty real tensor, found torch.int64"),
        (lambda r: {"a": (r, -1.0)}, "weight of loss 'a' as a number >= 0, found -1.0"),
        (lambda r: {"a": (r, True)}, "weight of loss 'a' as a number >= 0, found True"),
        (lambda r: {"a": (r, float("nan"))}, "weight of loss 'a' as a number >= 0, found nan"),
        (lambda r: {"a": r.detach()}, "no residual has a graph"),
    ],
)
def test_closures_that_return_no_residuals_are_told(heat, returned, message):
    net = heat.net()
    with pytest.raises(LossError, match=message):
        LevenbergMarquardt(net).step(lambda: returned(net(heat.points)))


def test_a_step_without_closure_is_told(heat):
    with pytest.raises(LossError, match=r"expected step\(closure\)"):
        LevenbergMarquardt(heat.net()).step()


def test_nothing_to_train_is_told(heat):
    net = heat.net().requires_grad_(False)
    with pytest.raises(LossError, match="found all of them frozen"):
        LevenbergMarquardt(net).step(lambda: heat.residuals(net))
