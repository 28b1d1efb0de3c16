"""Every engine's gradients against one backward pass per entry of DeepXDE's own loss vector."""

from __future__ import annotations

from dataclasses import dataclass

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import Needs, Reweighting
from conflictopt.integrations.deepxde import patch

ENGINES = ("rows", "graph", "batched")
SEEN = {}


@dataclass(frozen=True)
class Witness(Reweighting):
    """Notes the gradients of a step."""

    needs = Needs.ROWS
    source = "this test"

    def update(self, view, state):
        SEEN.update(rows=view.rows().clone(), params=view.layout.params, names=view.spec.names)
        return view.ones(), state


@pytest.fixture(autouse=True)
def _double():
    dde.config.set_default_float("float64")
    SEEN.clear()


def brute_force(model, params, members, count):
    """The Jacobian by entries of the vector that the plain step sums."""
    state = model.train_state
    vector = model.outputs_losses_train(state.X_train, state.y_train, state.train_aux_vars)[1]
    rows = torch.zeros(count, sum(p.numel() for p in params), dtype=torch.float64)
    for entry, k in zip(vector, members, strict=True):
        grads = torch.autograd.grad(
            entry, params, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        if k >= 0:
            rows[k] += torch.cat([g.reshape(-1) for g in grads])
    return rows


@pytest.fixture
def agree():
    """``agree(model, engine, groups, **compile options)``: the engine's rows are the Jacobian."""

    def check(model, engine, groups="each", **options):
        made = patch(model, Witness(), engine=engine, groups=groups)
        model.compile("sgd", lr=0.0, verbose=0, **options)
        model.train(iterations=1, verbose=0)
        assert not any("whole batch" in line for line in made.log)
        expected = brute_force(model, SEEN["params"], made.groups.members, len(SEEN["names"]))
        scale = expected.norm(dim=1, keepdim=True)
        assert (scale > 0).all()
        assert ((SEEN["rows"] - expected).abs() <= 1e-10 * scale).all()
        return made

    return check


def wave(x):
    return np.sin(3 * x[:, :1]) + x[:, 1:]


def operator(x, u, X):
    u_x = dde.grad.jacobian(u, x, i=0, j=0)
    return u_x * u + x[:, 1:] - torch.as_tensor(X[:, :1])


INNER = np.linspace([-0.8, 0.1], [0.7, 0.9], 7)
ON = lambda _, on: on  # noqa: E731
CONDITIONS = {
    "dirichlet": lambda g: [dde.icbc.DirichletBC(g, wave, ON)],
    "neumann": lambda g: [dde.icbc.NeumannBC(g, wave, ON)],
    "robin": lambda g: [dde.icbc.RobinBC(g, lambda x, u: u**2 + torch.as_tensor(x[:, 1:]), ON)],
    "periodic": lambda g: [dde.icbc.PeriodicBC(g, 0, ON)],
    "periodic slope": lambda g: [dde.icbc.PeriodicBC(g, 0, ON, derivative_order=1)],
    "operator": lambda g: [dde.icbc.OperatorBC(g, operator, ON)],
    "points": lambda g: [dde.icbc.PointSetBC(INNER, wave(INNER))],
    "point operator": lambda g: [dde.icbc.PointSetOperatorBC(INNER, wave(INNER), operator)],
    "initial": lambda g: [dde.icbc.IC(g, wave, ON)],
    "several": lambda g: [
        dde.icbc.NeumannBC(g, wave, ON),
        dde.icbc.OperatorBC(g, operator, ON),
        dde.icbc.DirichletBC(g, wave, ON),
        dde.icbc.IC(g, wave, ON),
        dde.icbc.PointSetBC(INNER, wave(INNER)),
    ],
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", CONDITIONS)
def test_every_condition(heat, agree, kind, engine):
    agree(heat(conditions=CONDITIONS[kind], num_test=None), engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("groups", ["kind", "each", {"a": ["pde", 3], "b": [1, 5], "c": [2, 4]}])
def test_every_grouping_with_many_points(heat, agree, groups, engine):
    many = {"num_boundary": 300, "num_initial": 100, "num_test": None}
    model = heat(conditions=CONDITIONS["several"], **many)
    agree(model, engine, groups, loss_weights=[1.0, 10.0, 0.1, 2.0, 3.0, 5.0])


@pytest.mark.parametrize("engine", ENGINES)
def test_interface(agree, engine):
    dde.config.set_random_seed(0)
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    side = lambda at: lambda x, on: on and np.isclose(x[0], at)  # noqa: E731
    pair = dde.icbc.Interface2DBC(square, lambda x: x[:, 1:], side(0), side(1))
    data = dde.data.PDE(
        square,
        lambda x, y: dde.grad.jacobian(y, x, i=0, j=0) + dde.grad.jacobian(y, x, i=1, j=1),
        [pair],
        num_domain=9,
        num_boundary=24,
        train_distribution="uniform",
    )
    agree(dde.Model(data, dde.nn.FNN([2, 8, 8, 2], "tanh", "Glorot normal")), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_function_for_each_entry(heat, agree, engine):
    absolute = lambda true, found: (found - true).abs().mean()  # noqa: E731
    agree(heat(), engine, loss=["MSE", absolute, "MSE"])


@pytest.mark.parametrize("engine", ENGINES)
def test_an_inverse_problem(inverse, agree, engine):
    model = inverse()
    agree(model, engine, external_trainable_variables=model.unknown)
    assert SEEN["params"][-1] is model.unknown


@pytest.mark.parametrize("engine", ENGINES)
def test_auxiliary_variables(heat, agree, engine):
    def pde(x, u, source):
        return dde.grad.hessian(u, x, i=0, j=0) * u - source

    agree(heat(pde=pde, auxiliary_var_function=lambda x: np.sin(x[:, :1])), engine)


@pytest.mark.parametrize("engine", ["rows", "graph"])
def test_forward_mode(heat, agree, engine):
    def pde(x, u):
        return dde.grad.jacobian(u, x, i=0, j=1)[0] - dde.grad.hessian(u, x, i=0, j=0)[0]

    dde.config.set_default_autodiff("forward")
    agree(heat(pde=pde), engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["transforms", "fourier", "parallel", "unused"])
def test_networks(heat, agree, kind, engine):
    dde.config.set_random_seed(0)
    if kind == "parallel":
        net = dde.nn.PFNN([2, [8, 8], [8, 8], 2], "tanh", "Glorot normal")
    else:
        net = dde.nn.FNN([6 if kind == "fourier" else 2, 8, 8, 2], "tanh", "Glorot normal")
    if kind == "transforms":
        net.apply_feature_transform(lambda x: x * 2 + 0.1)
        net.apply_output_transform(lambda x, u: u * (1 - x[:, :1] ** 2) + x[:, 1:])
    if kind == "fourier":
        waves = torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 0.5]], dtype=torch.float64)
        net.apply_feature_transform(lambda x: torch.cat([(x @ waves).sin(), (x @ waves).cos()], 1))

    def pde(x, y):
        first = dde.grad.jacobian(y, x, i=0, j=1) - dde.grad.hessian(y, x, component=0, i=0, j=0)
        if kind == "unused":
            return first  # nothing but a condition reaches the second output's last layer
        return [first, dde.grad.jacobian(y, x, i=1, j=0) + y[:, :1] * y[:, 1:]]

    conditions = lambda g: [dde.icbc.IC(g, wave, ON, component=c) for c in (0, 1)]  # noqa: E731
    agree(heat(pde=pde, conditions=conditions, net=net), engine)
