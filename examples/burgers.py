"""Viscous Burgers equation, u_t + u u_x = nu u_xx, with its Cole-Hopf solution.

A plain DeepXDE script.
"""

import deepxde as dde
import numpy as np

NU = 0.01 / np.pi

dde.config.set_random_seed(0)


def cole_hopf(x):
    """Exact solution for u(x, 0) = -sin(pi x): a ratio of two integrals (trapezoidal rule)."""
    position, time = x[:, :1], x[:, 1:]
    reach = np.sqrt(1 / (np.pi * NU) + 45)
    z = np.linspace(-reach, reach, 1200)[None, :]
    y = position - 2 * np.sqrt(NU * time) * z
    exponent = -np.cos(np.pi * y) / (2 * np.pi * NU) - z**2
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    ratio = (np.sin(np.pi * y) * weight).sum(axis=1) / weight.sum(axis=1)
    return -ratio[:, None]


def pde(x, u):
    u_x = dde.grad.jacobian(u, x, i=0, j=0)
    u_t = dde.grad.jacobian(u, x, i=0, j=1)
    u_xx = dde.grad.hessian(u, x, i=0, j=0)
    return u_t + u * u_x - NU * u_xx


geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))
boundary = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on_boundary: on_boundary)
initial = dde.icbc.IC(
    geometry, lambda x: -np.sin(np.pi * x[:, :1]), lambda _, on_initial: on_initial
)
data = dde.data.TimePDE(
    geometry,
    pde,
    [boundary, initial],
    num_domain=2500,
    num_boundary=80,
    num_initial=160,
    num_test=20000,
    solution=cole_hopf,
)
net = dde.nn.FNN([2, 20, 20, 20, 1], "tanh", "Glorot normal")
model = dde.Model(data, net)

model.compile("adam", lr=1e-3, metrics=["l2 relative error"])
model.train(iterations=4000, display_every=1000)

dde.optimizers.set_LBFGS_options(maxiter=2000)
model.compile("L-BFGS", metrics=["l2 relative error"])
model.train()

grid = np.stack(np.meshgrid(np.linspace(-1, 1, 401), np.linspace(0, 1, 101)), axis=-1).reshape(
    -1, 2
)
error = dde.metrics.l2_relative_error(cole_hopf(grid), model.predict(grid))
print(f"relative L2 error against Cole-Hopf: {error:.3e}")
