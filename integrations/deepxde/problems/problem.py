"""A problem of the suite, or of a specification file, as a DeepXDE model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import deepxde as dde
import numpy as np
import torch
from torch import Tensor

from conflictopt.lab.derivatives.trunk import AffineInputs
from conflictopt.lab.problems.points import RunPoints, SharedPoints
from conflictopt.lab.problems.problem import Problem
from conflictopt.lab.problems.regions import Points
from conflictopt.lab.problems.spec import LossMember

from ..patch_errors import PatchError
from .geometry import geometry_of
from .residuals import Residual, residual_of


@dataclass(frozen=True)
class ProblemModel:
    """A DeepXDE model with what training it needs to know.

    Attributes:
        model: a ``deepxde.Model``, not compiled.
        groups: per loss the entries of DeepXDE's loss vector, as ``patch(groups=...)`` takes them.
        unknowns: per unknown its ``deepxde.Variable``; pass the values of this mapping to
            ``compile(external_trainable_variables=...)``.
    """

    model: Any
    groups: Mapping[str, list[int]]
    unknowns: Mapping[str, Tensor]


def model_of(
    problem: Problem,
    *,
    points: RunPoints | None = None,
    sizes: list[int] | None = None,
    seed: int = 0,
) -> ProblemModel:
    """Compile a problem to DeepXDE: geometry, equations, conditions, data, network.

    The points are those of the suite's runs, handed to DeepXDE as anchors and point sets, so that
    its losses are the suite's to rounding.

    Args:
        problem: from ``conflictopt.lab.problems``.
        points: of the run; without it the specification's full numbers.
        sizes: widths of the network's layers; without it the specification's.
        seed: of points and network.

    Raises:
        PatchError: another backend than PyTorch, or something that DeepXDE cannot say: equations
            with different points, a periodic condition on more than a value or a first derivative.
    """
    if dde.backend.backend_name != "pytorch":
        raise PatchError(f"expected DeepXDE's PyTorch backend, found {dde.backend.backend_name}.")
    points = points or problem.draw(problem.counts(), seed)
    geometry = geometry_of(problem.spec.geometry)
    unknowns = {n: dde.Variable(u.start) for n, u in problem.spec.unknowns.items()}
    equations: list[tuple[str, Residual]] = []
    conditions: list[tuple[str, Any]] = []
    interior: SharedPoints | None = None
    for loss in problem.spec.losses:
        for member in loss.members:
            block = points.blocks[loss.name, member.place]
            if member.place.kind != "interior":
                made = _condition(problem, member, block, geometry, unknowns)
                conditions.append((loss.name, made))
                continue
            if interior is not None and block is not interior:
                raise PatchError("DeepXDE evaluates all equations at the same points.")
            interior = block
            residual = residual_of(problem, member.expression, member.place, unknowns)
            equations.append((loss.name, residual))
    order = [*(name for name, _ in equations), *(name for name, _ in conditions)]
    groups = {n: [i for i, own in enumerate(order) if own == n] for n in problem.loss_names}
    data = _data(problem, geometry, [f for _, f in equations], [c for _, c in conditions], interior)
    return ProblemModel(dde.Model(data, _network(problem, sizes, seed)), groups, unknowns)


def _data(
    problem: Problem,
    geometry: Any,
    equations: list[Residual],
    conditions: list[Any],
    interior: SharedPoints | None,
) -> Any:
    anchors = interior.points.x if interior is not None else np.empty((0, len(problem.inputs)))

    def pde(x: Tensor, y: Tensor) -> list[Tensor]:
        return [f(x, y) for f in equations]

    kind = dde.data.TimePDE if "t" in problem.inputs else dde.data.PDE
    return kind(geometry, pde, conditions, num_domain=0, num_boundary=0, anchors=anchors)


def _condition(
    problem: Problem,
    member: LossMember,
    block: SharedPoints,
    geometry: Any,
    unknowns: dict[str, Tensor],
) -> Any:
    if member.place.kind == "pair":
        return _periodic(problem, member, block.points, geometry)
    expression, values = member.expression, np.zeros((block.count, 1))
    for output, data in block.data.items():
        symbol = problem.spec.jets.value_only(f"data_{output}")
        if symbol not in expression.free_symbols:
            continue
        if expression.diff(symbol) != -1:
            raise PatchError(f"DeepXDE compares with data by subtraction, found '{member.text}'.")
        expression = expression + symbol
        values = values + data[:, None]
    residual = residual_of(problem, expression, member.place, unknowns)
    return dde.icbc.PointSetOperatorBC(
        block.points.x, values, lambda inputs, outputs, _: residual(inputs, outputs)
    )


class _PeriodicAt(dde.icbc.PeriodicBC):  # type: ignore[misc]
    """DeepXDE's periodic condition, at given points."""

    def __init__(
        self, geometry: Any, points: Points, order: int, component: int, axis: int
    ) -> None:
        super().__init__(geometry, axis, lambda _, on: on, order, component)
        assert points.partner is not None
        pairs = np.vstack([points.x, points.partner])
        self._pairs = pairs.astype(dde.config.real(np))

    def collocation_points(self, X: Any) -> Any:  # noqa: N803  (DeepXDE's name)
        return self._pairs


def _periodic(problem: Problem, member: LossMember, points: Points, geometry: Any) -> Any:
    axis = member.place.faces[0][0]
    key = problem.spec.jets.key(member.expression)
    if key is None or key[1] not in ((), (axis,)):
        raise PatchError(
            "DeepXDE's periodic condition is on an output or its first derivative across the "
            f"boundary, found '{member.text}'."
        )
    output, index = key
    return _PeriodicAt(geometry, points, len(index), problem.outputs.index(output), axis)


def _network(problem: Problem, sizes: list[int] | None, seed: int) -> Any:
    dtype = dde.config.real(torch)
    ours = problem.network(sizes, seed, dtype)
    with torch.random.fork_rng(devices=[]):
        net = dde.nn.FNN(sizes or problem.sizes(), problem.spec.network.activation, "Glorot normal")
    net.load_state_dict(ours.state_dict())
    domain = problem.spec.geometry
    device = next(net.parameters()).device
    net.apply_feature_transform(AffineInputs(domain.lower, domain.upper, dtype).to(device))
    return net
