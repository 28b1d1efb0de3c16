"""Members of all losses, evaluated in as few passes through the network as pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..derivatives.components import components
from .assembly import Assembly, Derive, Task
from .solution import Solution
from .spec import Spec

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
        self, spec: Spec, solution: Solution, tasks: Sequence[Task], dtype: torch.dtype
    ) -> None:
        def values_only(task: Task) -> bool:
            keys = map(spec.jets.key, task.member.expression.free_symbols)
            return all(key is None or not key[1] for key in keys)

        groups = [[i for i, t in enumerate(tasks) if values_only(t) == kind] for kind in (0, 1)]
        groups = [own for own in groups if own]
        made = [Assembly(spec, solution, [tasks[i] for i in own], dtype) for own in groups]
        if len(made) == 2:
            carried = components(made[0].wanted).count - 1
            if len(made[1].x) * carried < WORTHWHILE:
                groups, made = [[*range(len(tasks))]], [Assembly(spec, solution, tasks, dtype)]
        self.assemblies = tuple(made)
        self._places = {i: (g, k) for g, own in enumerate(groups) for k, i in enumerate(own)}

    def residuals(self, derive: Derive, unknowns: Mapping[str, Tensor]) -> list[Tensor]:
        """Per task its residual, in their order; see ``Assembly.residuals``."""
        found = [assembly.residuals(derive, unknowns) for assembly in self.assemblies]
        return [found[g][k] for _, (g, k) in sorted(self._places.items())]
