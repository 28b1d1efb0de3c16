"""Does the exact solution solve the problem as it is compiled for training?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import ConflictOptWarning
from ..derivatives import nested
from ..derivatives.indices import MultiIndex, Wanted
from .assembly import Assembly, ResidualTask
from .functions import tensor_function
from .geometry import Array
from .points import SharedPoints, draw
from .references.table import check_table
from .regions import Points
from .solution import Solution
from .spec import LossMember, ProblemSpec
from .specification_errors import SpecError

WRONG = 1e-3
"""A residual above it is no rounding: the specification contradicts itself."""
DOUBTFUL = 1e-6
"""A residual above it may come from constants that were written with few digits."""


class Solved(Protocol):
    """What is checked: the parts of a ``Problem`` that say what it is and what solves it."""

    spec: ProblemSpec
    solution: Solution

    @property
    def test_set(self) -> tuple[Any, dict[str, Any]]:
        """Test points, and the exact values there."""


@dataclass(frozen=True)
class MemberCheck:
    """The largest residual of the exact solution in one member.

    Attributes:
        loss, text: which member.
        residual: the largest absolute value.
        scale: what it is compared with: the largest of 1 and, of a numerical solution, its rate of
            change.
    """

    loss: str
    text: str
    residual: float
    scale: float


def check(problem: Solved, points: int = 50, seed: int = 0) -> list[MemberCheck]:
    """Evaluate the compiled residuals on the exact solution, in float64.

    A closed form is differentiated by nested autograd, so neither the specification's text nor
    sympy's derivatives take part. Of a numerical reference, space derivatives are spectral and
    rates are differences of neighbouring time steps.

    Args:
        problem: any.
        points: number of random points per loss.
        seed: of the points.
    """
    spec = problem.spec
    unknowns = {n: torch.tensor(u.true, dtype=torch.float64) for n, u in spec.unknowns.items()}
    if spec.exact:
        return _check_closed_form(spec, points, seed, unknowns)
    return _check_numerical(problem, points, seed, unknowns)


def prove(problem: Solved) -> None:
    """See to it that the exact solution solves the problem, before anything is measured by it.

    Raises:
        SpecError: it leaves a residual, or something cannot be evaluated; names loss and member.
    """
    try:
        problem.test_set  # noqa: B018  (finite, not zero)
        checks = check(problem)
    except (ArithmeticError, TypeError, MemoryError, RuntimeError) as error:
        raise SpecError(
            problem.spec.id, "losses", f"cannot be evaluated on the exact solution ({error})."
        ) from error
    for found in checks:
        share = found.residual / found.scale
        message = (
            f"the exact solution leaves a residual of {found.residual:.2g} in '{found.text}'. "
            "Expected 0: is the solution, the equation or a parameter wrong?"
        )
        if not share <= WRONG:
            raise SpecError(problem.spec.id, f"loss '{found.loss}'", message)
        if share > DOUBTFUL:
            warnings.warn(
                f"entry '{problem.spec.id}', loss '{found.loss}': {message}",
                ConflictOptWarning,
                stacklevel=2,
            )


def _check_closed_form(
    spec: ProblemSpec, points: int, seed: int, unknowns: Mapping[str, Tensor]
) -> list[MemberCheck]:
    # without noise, or the data would not fit
    quiet = replace(spec, sensors=replace(spec.sensors, noise=0.0)) if spec.sensors else spec
    solution = Solution(quiet)
    drawn = draw(quiet, solution, {ls.name: points for ls in spec.losses}, seed)
    tasks = [
        ResidualTask(ls.name, m, drawn.blocks[ls.name, m.place])
        for ls in spec.losses
        for m in ls.members
    ]
    functions = [tensor_function(spec.jets.coordinates, e) for e in spec.exact.values()]

    def exact(x: Tensor) -> Tensor:
        columns = [f(*x.unbind(1)) + 0 * x[:, 0] for f in functions]
        return torch.stack(columns, dim=1)

    derive = partial(nested.derivatives, exact)
    found = Assembly(quiet, solution, tasks, torch.float64).residuals(derive, unknowns)
    return [
        MemberCheck(t.loss, t.member.text, float(r.detach().abs().max()), 1.0)
        for t, r in zip(tasks, found, strict=True)
    ]


def _check_numerical(
    problem: Solved, points: int, seed: int, unknowns: Mapping[str, Tensor]
) -> list[MemberCheck]:
    """In the interior on the reference's table; elsewhere by its values and x-derivatives."""
    spec = problem.spec
    rng = np.random.default_rng(seed)
    table = check_table(problem.solution.reference)
    rows = rng.choice(len(table.points), points, replace=False)
    main = problem.solution.reference.main
    rate = max(1.0, float(np.abs(table.values[main, ("t",)]).max()))
    inside = SharedPoints(Points(table.points[rows]), {})
    quiet = replace(spec, sensors=replace(spec.sensors, noise=0.0)) if spec.sensors else spec
    drawn = draw(quiet, problem.solution, {ls.name: points for ls in spec.losses}, seed)
    found = []
    for loss in spec.losses:
        for member in loss.members:
            interior = member.place.kind == "interior"
            block = inside if interior else drawn.blocks[loss.name, member.place]
            source = _Table(spec, table.values, rows) if interior else _Values(problem)
            residual = _one(quiet, problem.solution, member, loss.name, block, source, unknowns)
            found.append(MemberCheck(loss.name, member.text, residual, rate if interior else 1.0))
    return found


def _one(
    spec: ProblemSpec,
    solution: Solution,
    member: LossMember,
    loss: str,
    block: SharedPoints,
    source: _Table | _Values,
    unknowns: Mapping[str, Tensor],
) -> float:
    assembly = Assembly(spec, solution, [ResidualTask(loss, member, block)], torch.float64)
    (residual,) = assembly.residuals(source, unknowns)
    return float(residual.abs().max())


class _Derived:
    """Derivatives from known ones; an operator's terms are summed as its weights say."""

    def __call__(
        self, x: Tensor, wanted: Wanted, weights: Sequence[Tensor]
    ) -> tuple[dict[MultiIndex, Tensor], tuple[Tensor, ...]]:
        found = {p: self.partial(x, p) for p in wanted.partials}
        sums = []
        for op, w in zip(wanted.operators, weights, strict=True):
            terms = [*((i, i) for i in op.seconds), *((j,) for j in op.firsts)]
            parts = [self.partial(x, t) * wi[:, None] for t, wi in zip(terms, w, strict=True)]
            sums.append(torch.stack(parts).sum(0))
        return found, tuple(sums)

    def partial(self, x: Tensor, index: MultiIndex) -> Tensor:
        """``[N, outputs]``; NaN where a derivative is not known, so that its use shows."""
        raise NotImplementedError


class _Table(_Derived):
    """Rows of a reference's table."""

    def __init__(
        self,
        spec: ProblemSpec,
        values: Mapping[tuple[str, tuple[str, ...]], Array],
        rows: NDArray[np.int64],
    ) -> None:
        self._spec, self._values, self._rows = spec, values, rows

    def partial(self, x: Tensor, index: MultiIndex) -> Tensor:
        names = tuple(self._spec.inputs[i] for i in index)
        nothing = np.full(len(self._rows), np.nan)
        columns = []
        for output in self._spec.outputs:
            known = self._values.get((output, names))
            columns.append(nothing if known is None else known[self._rows])
        return torch.tensor(np.stack(columns, axis=1))


class _Values(_Derived):
    """A reference's values and x-derivatives anywhere."""

    def __init__(self, problem: Solved) -> None:
        self._problem = problem

    def partial(self, x: Tensor, index: MultiIndex) -> Tensor:
        reference, outputs = self._problem.solution.reference, self._problem.spec.outputs
        if not index:
            values = reference.values(x.numpy())
        else:
            values = {o: reference.derivatives(x.numpy(), o, len(index)) for o in outputs}
        return torch.tensor(np.stack([values[o] for o in outputs], axis=1))
