"""Tiny DeepXDE problems, and what the tests do with them."""

from __future__ import annotations

import os

os.environ["DDE_BACKEND"] = os.environ["DDEBACKEND"] = "pytorch"

from collections.abc import Callable
from typing import Any

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import Thresholds
from conflictopt.integrations.deepxde import patch

ADAPTERS = ".conflictopt_adapters."


@pytest.fixture(autouse=True)
def _configuration():
    """One thread, and DeepXDE's global options as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    dde.config.mixed = False
    dde.config.set_default_float("float32")
    dde.config.set_default_autodiff("reverse")
    dde.optimizers.set_LBFGS_options()


@pytest.fixture
def lbfgs() -> Callable[..., None]:
    """``lbfgs(iterations, per_step)``: short L-BFGS runs; afterwards the defaults return."""

    def options(iterations: int = 10, per_step: int = 5) -> None:
        dde.optimizers.set_LBFGS_options(maxiter=iterations)
        dde.optimizers.LBFGS_options["iter_per_step"] = per_step
        dde.optimizers.LBFGS_options["fun_per_step"] = 2 * per_step

    return options


def _heat_equation(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) - 0.3 * dde.grad.hessian(u, x, i=0, j=0)


def _space_time() -> Any:
    return dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))


@pytest.fixture
def space_time() -> Any:
    """x in [-1, 1], t in [0, 1]."""
    return _space_time()


@pytest.fixture
def heat() -> Callable[..., Any]:
    """``heat()``: the heat equation with the losses pde, boundary, initial; always the same start.

    Options replace a part of it: ``pde``, ``conditions`` (a function of the geometry), ``net``,
    ``regularization``, and any argument of ``TimePDE``.
    """

    def build(pde=_heat_equation, conditions=None, net=None, regularization=None, **data):
        dde.config.set_random_seed(0)
        geometry = _space_time()
        boundary = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on)
        initial = dde.icbc.IC(geometry, lambda x: np.cos(np.pi * x[:, :1] / 2), lambda _, on: on)
        chosen = [boundary, initial] if conditions is None else conditions(geometry)
        points = {"num_domain": 16, "num_boundary": 8, "num_initial": 8, "num_test": 10, **data}
        problem = dde.data.TimePDE(geometry, pde, chosen, **points)
        if net is None:
            net = dde.nn.FNN([2, 8, 8, 1], "tanh", "Glorot normal", regularization)
        return dde.Model(problem, net)

    return build


@pytest.fixture
def conflicting(heat) -> Callable[[], Any]:
    """A model whose losses conflict in every late step: u = 0 inside, u = 1 on the boundary."""

    def walls(geometry):
        return [dde.icbc.DirichletBC(geometry, lambda x: 1, lambda _, on: on)]

    return lambda: heat(pde=lambda x, u: u, conditions=walls, num_initial=0)


@pytest.fixture
def inverse(heat) -> Callable[..., Any]:
    """The heat equation with an unknown conductivity, ``model.unknown``, and point data."""

    def build(batch_size=None):
        unknown = dde.Variable(0.8)

        def pde(x, u):
            u_t = dde.grad.jacobian(u, x, i=0, j=1)
            return u_t - unknown * dde.grad.hessian(u, x, i=0, j=0)

        def conditions(geometry):
            points = np.linspace([-0.9, 0.1], [0.9, 0.9], 10)
            values = np.exp(-points[:, 1:]) * np.cos(np.pi * points[:, :1] / 2)
            wall = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on)
            return [wall, dde.icbc.PointSetBC(points, values, batch_size=batch_size)]

        model = heat(pde=pde, conditions=conditions, num_initial=0)
        model.unknown = unknown
        return model

    return build


@pytest.fixture
def adam() -> Callable[..., None]:
    """``adam(model, iterations)``: compile with Adam, or as said, and train."""

    def train(model, iterations=20, lr=1e-2, optimizer="adam", **compile_options):
        model.compile(optimizer, lr=lr, verbose=0, **compile_options)
        model.train(iterations=iterations, display_every=5, verbose=0)

    return train


@pytest.fixture
def result() -> Callable[[Any], list[torch.Tensor]]:
    """``result(model)``: the trained numbers, adapters apart."""

    def collect(model):
        named = model.net.named_parameters()
        history = [np.array(row) for row in model.losshistory.loss_train]
        return [
            *(p.detach().clone() for n, p in named if ADAPTERS not in n),
            *(v.detach().clone() for v in model.external_trainable_variables),
            *(torch.from_numpy(row) for row in history),
        ]

    return collect


@pytest.fixture
def same(result) -> Callable[[Any, Any], bool]:
    """Whether two models were trained to bitwise the same numbers, along the same history."""

    def compare(a, b):
        first, second = result(a), result(b)
        return len(first) == len(second) and all(
            torch.equal(p, q) for p, q in zip(first, second, strict=True)
        )

    return compare


@pytest.fixture
def assert_unchanged(same) -> Callable[..., Any]:
    """``assert_unchanged(build, train, **patch options)``: the patched run is the plain one."""

    def check(build, train, method="sum", **options):
        plain, patched = build(), build()
        with torch.random.fork_rng():
            dde.config.set_random_seed(1)
            train(plain)
        dde.config.set_random_seed(1)
        patch(patched, method, **options)
        train(patched)
        assert patched.conflictopt.steps > 0
        assert same(plain, patched)
        return patched

    return check


@pytest.fixture
def forced() -> dict[str, Thresholds]:
    """Thresholds under which the conflicting problem has the regime of that name, decided."""
    anyhow = {"enough_samples": 1, "enough_confidence": 0.0}
    return {
        "benign": Thresholds(**anyhow, persistent_cosine=-1.0, magnitude_ratio=1e12),
        "magnitude": Thresholds(**anyhow, persistent_cosine=-1.0, magnitude_ratio=1.0),
        "persistent": Thresholds(**anyhow, persistent_fraction=0.5, persistent_cosine=0.0),
    }
