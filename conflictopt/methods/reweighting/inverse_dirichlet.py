"""Weights that bring the spread of the gradients' entries to one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import Needs
from ...core.errors import MethodError
from ...core.layout import TRUNK
from ...core.step import StepView
from ._entry_statistics import entries, spread
from ._periodic import PeriodicReweighting


@dataclass(frozen=True)
class InverseDirichlet(PeriodicReweighting):
    """Balance the standard deviations of the gradients' entries.

    Formula: ``w_k = s / std(g_k)``, s the largest standard deviation: of the equations
    (``"equations"``) or of all losses (``"max"``).
    Shapes: weights ``[K]``; statistics over the network's parameters that loss k reaches.
    Source: Maddu, Sturm, Müller, Sbalzarini, Mach. Learn.: Sci. Technol. 3 (2022),
    arXiv 2107.00940; ``"equations"`` is the authors' code (one residual is the reference),
    ``"max"`` the paper's form.
    Differs: several equations share their largest deviation; a loss without gradient keeps 1;
    bounded by ``cap``: like all balancing of gradients it feeds back on itself.

    Args:
        momentum, refresh, cap: see ``PeriodicReweighting``; defaults 0.5 and 5 as the authors.
        reference: ``"equations"`` or ``"max"``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("inverse_dirichlet", momentum=0.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> opt.step({"pde": 3 * w[0] - w[1], "bc": w[1] + 0 * w[0]})    # (3, -1) and (0, 1)
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [1.0, 4.0]
    """

    momentum: float = 0.5
    refresh: int = 5
    cap: float = 1e3
    reference: Literal["equations", "max"] = "equations"

    needs = Needs.ROWS
    source = "Maddu, Sturm, Müller, Sbalzarini 2022 (arXiv 2107.00940)"
    claim = "the entries of all weighted gradients have one standard deviation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference not in ("equations", "max"):
            raise MethodError(f"expected reference='equations' or 'max', found {self.reference!r}.")

    def target(self, view: StepView, weights: Tensor) -> Tensor:
        found = [spread(g) for g in entries(view, TRUNK)]
        taken = [
            s
            for s, e in zip(found, view.spec.equations, strict=True)
            if e or self.reference == "max"
        ]
        # NaN without an active reference: nothing to compare with
        largest = max(taken, default=0.0) or math.nan
        return torch.tensor(
            [largest / s if s > 0 else math.nan for s in found], device="cpu", dtype=torch.float64
        )
