"""Dual cone gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ...core.errors import MethodError
from ..small_linalg import sumprod
from ._base import GramianSurgery, NormalForm

_OPPOSED = 1e-12


@dataclass(frozen=True)
class DCGD(GramianSurgery):
    """Keep the update in the dual cone of two gradients: of all equations and of all conditions.

    Formula: with ``r`` and ``b`` the summed gradients of equations and of conditions,
    ``"center"``: ``c = r/|r| + b/|b|``, ``d = (c . (r + b)) / |c|^2 c``. ``"projection"``: if
    ``(r + b) . b < 0``: ``d = r - (r . b) / |b|^2 b``, likewise with r and b exchanged, else
    ``d = r + b``. ``"average"``: in either of these cases the mean of both projections, else
    ``r + b``.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Hwang, Lim, NeurIPS 2024, arXiv 2409.18426, algorithms 1 to 3.
    Differs: no epsilons (a group without gradient is left out: the plain sum); zero, and
    reported, for exactly opposed groups. Conflict with a single loss of a group may remain. Below
    K = 2 groups (all losses equations, or none) it is the plain sum.

    Args:
        blocks, verify: see ``GramianSurgery``.
        variant: ``"center"``, ``"average"`` or ``"projection"``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "dcgd")
    >>> opt.step({"pde": 3 * w[0], "bc": w[1]})      # c = (1, 1), d = (4 / 2) c
    >>> [round(x, 6) for x in (-w).tolist()]
    [2.0, 2.0]
    """

    variant: Literal["center", "average", "projection"] = "center"

    source = "Hwang, Lim 2024 (arXiv 2409.18426), algorithms 1 to 3"
    claim = "no conflict with the sum of the equations, nor with that of the conditions"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in ("center", "average", "projection"):
            raise MethodError(
                f"expected variant='center', 'average' or 'projection', found {self.variant!r}."
            )

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        equations = problem.equations
        # a group is the sum of n_k u_k over its losses
        groups = [
            [n if e is kind else 0.0 for n, e in zip(problem.norms, equations, strict=True)]
            for kind in (True, False)
        ]
        along = [[sumprod(row, g) for row in problem.unit] for g in groups]
        rr, bb = (sumprod(g, a) for g, a in zip(groups, along, strict=True))
        rb = sumprod(groups[0], along[1])
        # a group whose gradients cancel, to rounding, points nowhere
        tiny = [(_OPPOSED * max(g)) ** 2 for g in groups]
        if rr <= tiny[0] or bb <= tiny[1]:
            return [1.0] * len(equations)
        pair = self._pair(math.sqrt(rr), math.sqrt(bb), rb)
        if pair is None:
            return problem.stationary()
        return [pair[0] if e else pair[1] for e in equations]

    def _pair(self, r: float, b: float, rb: float) -> tuple[float, float] | None:
        """Coefficients of both groups, from their norms and inner product; ``None``: opposed."""
        cosine = max(-1.0, min(1.0, rb / r / b))
        if self.variant == "center":
            if 1 + cosine < _OPPOSED:
                return None
            # c . (r + b) = (|r| + |b|) (1 + cosine), |c|^2 = 2 (1 + cosine)
            return (r + b) / 2 / r, (r + b) / 2 / b
        conflicts = (b + r * cosine < 0, r + b * cosine < 0)
        if not any(conflicts):
            return 1.0, 1.0
        if self.variant == "average":
            return (1 - b / r * cosine) / 2, (1 - r / b * cosine) / 2
        return (1.0, -r / b * cosine) if conflicts[0] else (-b / r * cosine, 1.0)
