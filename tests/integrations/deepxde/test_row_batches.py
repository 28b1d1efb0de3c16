"""Losses on rows that are drawn for a step: which rows, the same residuals, and when not at all."""

from __future__ import annotations

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt.integrations.deepxde import patch
from conflictopt.integrations.deepxde.chosen_rows import choose, residual_rows
from conflictopt.integrations.deepxde.drawable import own_points

POINTS = np.linspace([-0.9, 0.1], [0.9, 0.9], 40)


def everywhere(_, on):
    return on


def right(x, on):
    return on and np.isclose(x[0], 1)


def values(x):
    return np.sin(x[:, :1] + x[:, 1:])


def slope(x, u, _):
    return dde.grad.jacobian(u, x, i=0, j=0) - x[:, :1]


CONDITIONS = {
    "Dirichlet": lambda g: dde.icbc.DirichletBC(g, values, everywhere),
    "Neumann": lambda g: dde.icbc.NeumannBC(g, values, everywhere),
    "Robin": lambda g: dde.icbc.RobinBC(g, lambda x, u: u + torch.tensor(x[:, :1]), everywhere),
    "periodic": lambda g: dde.icbc.PeriodicBC(g, 0, right),
    "periodic slope": lambda g: dde.icbc.PeriodicBC(g, 0, right, derivative_order=1),
    "operator": lambda g: dde.icbc.OperatorBC(g, slope, everywhere),
    "initial": lambda g: dde.icbc.IC(g, values, everywhere),
    "points": lambda g: dde.icbc.PointSetBC(POINTS, values(POINTS)),
    "points, one value": lambda g: dde.icbc.PointSetBC(POINTS, 0.5),
    "points in batches": lambda g: dde.icbc.PointSetBC(POINTS, values(POINTS), batch_size=30),
    "operator at points": lambda g: dde.icbc.PointSetOperatorBC(POINTS, values(POINTS), slope),
}


@pytest.fixture
def rows():
    """``rows(model)``: the row batches of a model that is patched and has taken a step."""

    def of(model):
        patch(model, "levenberg_marquardt")
        model.compile("adam", lr=1e-3, verbose=0)
        model.train(iterations=1, verbose=0)
        assert not [line for line in model.conflictopt.log if "all points" in line]
        return model.conflictopt._preflight._rows

    return of


def whole(model):
    """The residuals on all points."""
    state = model.train_state
    batch = state.X_train, state.y_train, state.train_aux_vars
    losses = model.conflictopt._reader.read(batch, True).together(residuals=True)
    return [r for name in losses.names for r, _ in losses.residuals[name]]


@pytest.mark.parametrize("name", CONDITIONS)
def test_residuals_on_chosen_rows_are_those_of_all_rows(heat, rows, name):
    def conditions(geometry):
        return [CONDITIONS[name](geometry), dde.icbc.DirichletBC(geometry, values, everywhere)]

    model = heat(conditions=conditions, num_boundary=60, num_initial=60, num_test=None)
    found = rows(model)
    expected = whole(model)
    source = own_points(model.data)
    entries = sum(len(r) for r in expected)
    choice = found.choose(source, entries // 2, torch.Generator().manual_seed(1))
    losses = found.losses(source, choice)
    index = residual_rows(choice, model.data, 1)
    got = [r for name in losses.names for r, _ in losses.residuals[name]]
    order = [0, *(1 + i for i in range(len(got) - 1))]
    assert sum(len(r) for r in got) < entries
    for k in order:
        torch.testing.assert_close(got[k], expected[k][index[k]], rtol=1e-4, atol=1e-5)


def test_rows_are_drawn_in_proportion_and_of_each_loss_some(heat):
    model = heat(num_domain=800, num_boundary=160, num_initial=40, num_test=None)
    data, generator = model.data, torch.Generator().manual_seed(0)
    choice = choose(own_points(data), (1, 1, 1), 100, generator)
    entries = len(data.train_x)
    walls, starts = data.num_bcs
    assert len(choice.equation) == round((entries - walls - starts) * 100 / entries)
    assert [len(c) for c in choice.conditions] == [max(16, round(walls * 100 / entries)), 16]
    assert choice.equation.min() >= walls + starts
    other = choose(own_points(data), (1, 1, 1), 100, generator)
    assert other.equation.tolist() != choice.equation.tolist()
    everything = choose(own_points(data), (1, 1, 1), None, generator)
    assert everything.equation.tolist() == list(range(walls + starts, entries))
    assert [len(c) for c in everything.conditions] == [walls, starts]


def test_a_step_evaluates_the_network_on_its_rows_alone(heat):
    model = heat(num_domain=900, num_test=None)
    patch(model, "levenberg_marquardt:rows=60")
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=2, verbose=0)
    seen = []
    model.net.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    state = model.train_state
    model.train_step(state.X_train, state.y_train, state.train_aux_vars)
    assert max(seen) < 80
    assert model.conflictopt.optimizer.inner.last.rows < 120


def coupled(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) - u.mean()


def counting_on_all_rows(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) * torch.ones(48, 1)


def noisy(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) + 0.1 * torch.rand_like(u)


@pytest.mark.parametrize(
    ("pde", "reason"),
    [
        (coupled, "residuals of 'pde' depend on more than their own points"),
        (counting_on_all_rows, "evaluated on some of its rows, a loss fails: RuntimeError"),
        (noisy, "evaluating the losses draws random numbers"),
    ],
)
def test_what_cannot_be_evaluated_by_rows_is_evaluated_whole_and_the_log_says_why(
    heat, pde, reason
):
    model = heat(pde=pde, num_test=None)
    made = patch(model, "levenberg_marquardt:rows=20")
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=2, verbose=0)
    (line,) = [line for line in made.log if "all points" in line]
    assert reason in line


def test_resampled_points_are_followed(heat):
    model = heat(num_domain=300, num_boundary=100, num_test=None, train_distribution="pseudo")
    patch(model, "levenberg_marquardt:rows=100")
    model.compile("adam", lr=1e-3, verbose=0)
    resampler = dde.callbacks.PDEPointResampler(period=1, bc_points=True)
    model.train(iterations=15, callbacks=[resampler], verbose=0)
    first, last = model.losshistory.loss_train[0], model.losshistory.loss_train[-1]
    assert last.sum() < 1e-2 * first.sum()
