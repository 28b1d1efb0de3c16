"""A problem's equations and conditions as functions of DeepXDE's inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import deepxde as dde
import numpy as np
import sympy as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from conflictopt.lab.problems.functions import Fixed, tensor_function
from conflictopt.lab.problems.geometry import Shell
from conflictopt.lab.problems.problem import Problem
from conflictopt.lab.problems.regions import Place

Residual = Callable[[Tensor, Tensor], Tensor]
"""Inputs ``[N, d]`` and outputs ``[N, o]`` -> residual ``[N, 1]``."""


def residual_of(
    problem: Problem, expression: sp.Expr, place: Place, unknowns: dict[str, Tensor]
) -> Residual:
    """An expression as a function of inputs and outputs, with DeepXDE's derivatives.

    What depends on the inputs alone is evaluated in float64. At rows that are not of the place,
    normals mean nothing.

    Args:
        problem: whose expression it is.
        expression: in the symbols of the problem.
        place: where it holds; decides the normals.
        unknowns: DeepXDE variables by name.
    """
    spec = problem.spec
    jets = spec.jets
    present = sorted(expression.free_symbols, key=str)
    columns = [(s, jets.key(s)) for s in present if jets.key(s) is not None]
    scalars = [(u.symbol, name) for name, u in spec.unknowns.items() if u.symbol in present]
    live = frozenset([*(s for s, _ in columns), *(s for s, _ in scalars)])
    fixed = Fixed()
    reduced = fixed.take_out(expression, live)
    symbols = [*(s for s, _ in columns), *(s for s, _ in scalars), *fixed.symbols.values()]
    function = tensor_function(symbols, reduced)
    known = [*jets.coordinates, *(s for s in jets.opaque if s in present)]
    inner = [tensor_function(known, e) for e in fixed.symbols]
    names = [jets.opaque[s] for s in known if s in jets.opaque]

    def residual(x: Tensor, y: Tensor) -> Tensor:
        given = [derivative(x, y, problem.outputs.index(o), index) for _, (o, index) in columns]  # type: ignore[misc]
        at = x.detach().double()
        values = [*torch.split(at, 1, dim=1), *(_known(problem, place, name, at) for name in names)]
        # DeepXDE evaluates all rows and then takes those of the place: an infinite value at
        # another row would make the gradient NaN
        constants = [torch.nan_to_num(torch.as_tensor(f(*values)), 0, 0, 0).to(y) for f in inner]
        return torch.as_tensor(
            function(*given, *(unknowns[name] for _, name in scalars), *constants)
        )

    return residual


def derivative(x: Tensor, y: Tensor, output: int, index: tuple[int, ...]) -> Tensor:
    """A partial derivative ``[N, 1]`` of an output, by ``dde.grad``."""
    if not index:
        return y[:, output : output + 1]
    if len(index) == 1:
        first: Tensor = dde.grad.jacobian(y, x, i=output, j=index[0])
        return first
    if len(index) == 2:
        component = output if y.shape[1] > 1 else 0
        second: Tensor = dde.grad.hessian(y, x, component=component, i=index[0], j=index[1])
        return second
    below = derivative(x, y, output, index[:-1])
    higher: Tensor = dde.grad.jacobian(below, x, i=0, j=index[-1])
    return higher


def _known(problem: Problem, place: Place, name: str, x: Tensor) -> Tensor:
    kind, _, what = name.partition("_")
    if kind == "exact":
        values = problem.solution.values(x.cpu().numpy())[what]
    else:
        axis = problem.spec.geometry.space.index(int(what))
        values = normals(problem, place, x.cpu().numpy())[:, axis]
    return torch.tensor(values, device=x.device)[:, None]


def normals(problem: Problem, place: Place, x: NDArray[Any]) -> NDArray[Any]:
    """Outward normals ``[N, m]`` at rows of the place, from their coordinates."""
    geometry = problem.spec.geometry
    if isinstance(geometry, Shell):
        directions = geometry.directions(x)
        offset = x[:, geometry.space] - np.array(geometry.centre)
        radius = np.linalg.norm(offset, axis=1, keepdims=True)
        distances = [np.abs(radius - r) for r, _ in place.spheres]
        signs = np.array([sign for _, sign in place.spheres])
        nearest: NDArray[Any] = signs[np.argmin(np.hstack(distances), axis=1)][:, None] * directions
        return nearest
    found = np.zeros((len(x), len(geometry.space)))
    for i, value, sign in place.faces:
        # coordinates have been through float32
        near = np.abs(x[:, i] - value) <= 1e-6 * (geometry.upper[i] - geometry.lower[i])
        free = ~found.any(axis=1)
        found[near & free, geometry.space.index(i)] = sign
    return found
