"""The DeepXDE problems, each freshly built from the same seed."""

from __future__ import annotations

import deepxde as dde
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .problems import DeepXDEProblem

SEED = 0
VISCOSITY = 0.01 / np.pi
REYNOLDS = 20
DECAY = REYNOLDS / 2 - np.sqrt(REYNOLDS**2 / 4 + 4 * np.pi**2)

Points = NDArray[np.floating]


def _everywhere(_: Points, on_boundary: bool) -> bool:
    return on_boundary


def _network(sizes: list[int]) -> dde.nn.FNN:
    return dde.nn.FNN(sizes, "tanh", "Glorot normal")


def burgers(width: int = 20) -> DeepXDEProblem:
    """Burgers' equation: pde, boundary, initial; 3020 points; three hidden layers."""
    dde.config.set_random_seed(SEED)
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def residual(x: Tensor, u: Tensor) -> Tensor:
        u_x = dde.grad.jacobian(u, x, i=0, j=0)
        u_t = dde.grad.jacobian(u, x, i=0, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t + u * u_x - VISCOSITY * u_xx

    conditions = [
        dde.icbc.DirichletBC(domain, lambda _: 0, _everywhere),
        dde.icbc.IC(domain, lambda x: -np.sin(np.pi * x[:, :1]), lambda _, initial: initial),
    ]
    data = dde.data.TimePDE(
        domain, residual, conditions, num_domain=2540, num_boundary=80, num_initial=160
    )
    return DeepXDEProblem(dde.Model(data, _network([2, *[width] * 3, 1])), groups="each")


def _navier_stokes(x: Tensor, y: Tensor) -> list[Tensor]:
    """Residuals of the two momentum equations and of continuity."""
    u, v = y[:, :1], y[:, 1:2]
    first = [[dde.grad.jacobian(y, x, i=i, j=j) for j in range(2)] for i in range(3)]
    laplacian = [
        sum(dde.grad.hessian(y, x, component=c, i=i, j=i) for i in range(2)) for c in range(2)
    ]
    pressure = first[2]
    momentum = [
        u * first[c][0] + v * first[c][1] + pressure[c] - laplacian[c] / REYNOLDS for c in range(2)
    ]
    return [*momentum, first[0][0] + first[1][1]]


def _velocity_x(x: Points) -> Points:
    return 1 - np.exp(DECAY * x[:, :1]) * np.cos(2 * np.pi * x[:, 1:])


def _velocity_y(x: Points) -> Points:
    return DECAY / (2 * np.pi) * np.exp(DECAY * x[:, :1]) * np.sin(2 * np.pi * x[:, 1:])


def _pressure(x: Points) -> Points:
    return (1 - np.exp(2 * DECAY * x[:, :1])) / 2


def _outflow(x: Points, on_boundary: bool) -> bool:
    return on_boundary and bool(np.isclose(x[0], 1))


def kovasznay() -> DeepXDEProblem:
    """Kovasznay flow: three equations and three conditions as six losses; 3915 points."""
    dde.config.set_random_seed(SEED)
    domain = dde.geometry.Rectangle([-0.5, -0.5], [1, 1.5])
    conditions = [
        dde.icbc.DirichletBC(domain, _velocity_x, _everywhere, component=0),
        dde.icbc.DirichletBC(domain, _velocity_y, _everywhere, component=1),
        dde.icbc.DirichletBC(domain, _pressure, _outflow, component=2),
    ]
    data = dde.data.PDE(domain, _navier_stokes, conditions, num_domain=2601, num_boundary=400)
    return DeepXDEProblem(dde.Model(data, _network([2, *[50] * 4, 3])), groups="each")


def poisson10d() -> DeepXDEProblem:
    """Poisson's equation in ten dimensions: pde and boundary; 1400 random points."""
    dde.config.set_random_seed(SEED)
    domain = dde.geometry.Hypercube([-1] * 10, [1] * 10)

    def residual(x: Tensor, u: Tensor) -> Tensor:
        laplacian = sum(dde.grad.hessian(u, x, i=i, j=i) for i in range(10))
        source = np.pi**2 * (np.pi * x).sin().mean(dim=1, keepdim=True)
        return -laplacian - source

    boundary = dde.icbc.DirichletBC(
        domain, lambda x: np.sin(np.pi * x).mean(axis=1, keepdims=True), _everywhere
    )
    data = dde.data.PDE(
        domain,
        residual,
        boundary,
        num_domain=1000,
        num_boundary=400,
        train_distribution="pseudo",
    )
    return DeepXDEProblem(dde.Model(data, _network([10, *[50] * 3, 1])), groups="each")
