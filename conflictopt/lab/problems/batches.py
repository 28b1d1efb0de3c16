"""Members of all losses, evaluated in as few passes through the network as pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy

import sympy as sp
import torch
from torch import Tensor

from ..derivatives.components import components
from .assembly import Assembly, Derive, ResidualTask
from .operators import plan
from .points import SharedPoints
from .solution import Solution
from .spec import ProblemSpec

WORTHWHILE = 2048
"""Rows times components from which sparing them pays for another pass through the network."""


class Batches:
    """All members of a problem, evaluated in as few passes as pay.

    Where conditions read values alone and equations many derivatives, conditions have a pass of
    their own.

    Args:
        spec, solution, tasks, dtype: see ``Assembly``.

    Attributes:
        assemblies: one or two.
    """

    def __init__(
        self,
        spec: ProblemSpec,
        solution: Solution,
        tasks: Sequence[ResidualTask],
        dtype: torch.dtype,
    ) -> None:
        def values_only(task: ResidualTask) -> bool:
            keys = map(spec.jets.key, task.member.expression.free_symbols)
            return all(key is None or not key[1] for key in keys)

        groups = [[i for i, t in enumerate(tasks) if values_only(t) == kind] for kind in (0, 1)]
        if not _pays(spec, *([tasks[i] for i in own] for own in groups)):
            groups = [[*range(len(tasks))]]
        self.assemblies = tuple(
            Assembly(spec, solution, [tasks[i] for i in own], dtype) for own in groups
        )
        self._places = {i: (g, k) for g, own in enumerate(groups) for k, i in enumerate(own)}

    def at_rows(self, choose: Callable[[SharedPoints], Tensor]) -> Batches:
        """The same members at some of their points.

        Args:
            choose: gives which points of a block.
        """
        part = copy(self)
        part.assemblies = tuple(a.at_rows([choose(b) for b in a.blocks]) for a in self.assemblies)
        return part

    def residuals(self, derive: Derive, unknowns: Mapping[str, Tensor]) -> list[Tensor]:
        """Per task its residual, in their order; see ``Assembly.residuals``."""
        found = [assembly.residuals(derive, unknowns) for assembly in self.assemblies]
        return [found[g][k] for _, (g, k) in sorted(self._places.items())]


def _pays(
    spec: ProblemSpec, derived: Sequence[ResidualTask], valued: Sequence[ResidualTask]
) -> bool:
    """Whether rows on which values are enough should be spared the derivatives of the others."""
    blocks = {id(t.block): t.block for t in valued}.values()
    rows = sum(b.count * (1 if b.points.partner is None else 2) for b in blocks)
    carried = carried_by(spec, [t.member.expression for t in derived]) if derived else 1
    return bool(derived and valued) and rows * (carried - 1) >= WORTHWHILE


def carried_by(spec: ProblemSpec, expressions: Sequence[sp.Expr]) -> int:
    """How many components travel through the network to evaluate some expressions."""
    known = frozenset(spec.jets.coordinates) | frozenset(spec.jets.opaque)
    return components(plan(spec.jets, expressions, known).wanted).count
