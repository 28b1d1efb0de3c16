"""Residual-based attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.errors import MethodError
from ...core.points import PointSet
from ._carried_points import CarriedPointWeights


@dataclass(frozen=True)
class RBA(CarriedPointWeights):
    """Point weights that follow the running size of the residual, relative to its largest.

    Formula: ``l_n <- gamma l_n + eta |r_n| / max_j |r_j|``, then the loss ``mean_n (l_n r_n)^2``
    (``"square"``) or ``mean_n l_n r_n^2`` (``"linear"``).
    Shapes: weights ``[N, m]`` per residual, in the state; coefficients ``[K]`` ones.
    Source: Anagnostopoulos, Toscano, Stergiopulos, Karniadakis, Comput. Methods Appl. Mech. Eng.
    421 (2024), arXiv 2307.00379; ``"square"`` as in the authors' PyTorch code, ``"linear"`` as in
    their JAX code.
    Differs: nothing else. As the authors', weights are on equations only by default, and start at
    0: for the first hundreds of steps the network learns little but the conditions. Weights stay
    with their points through resampling.

    Args:
        on: see ``CarriedPointWeights``.
        eta: how much of the present residual enters, > 0.
        gamma: decay, in [0, 1).
        form: ``"square"`` or ``"linear"``.
        start_at: ``"zero"``, or ``"residual"``: the first step sets ``l_n = |r_n| / max_j |r_j|``.

    Raises:
        MethodError: bad hyper-parameters; at run time, losses without residuals.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> method = conflictopt.make("rba", eta=0.5, gamma=0.5)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> for _ in range(2):
    ...     r = torch.stack([2 * w[0], w[0]])
    ...     opt.step({"pde": r.square().mean()}, residuals={"pde": r})
    >>> opt.session.state["pde/0/level"].T.tolist()
    [[0.75, 0.375]]
    """

    on: Literal["all", "equations"] = "equations"
    eta: float = 1e-3
    gamma: float = 0.999
    form: Literal["square", "linear"] = "square"
    start_at: Literal["zero", "residual"] = "zero"

    source = "Anagnostopoulos, Toscano, Stergiopulos, Karniadakis 2024 (arXiv 2307.00379)"
    claim = "0 <= l <= eta / (1 - gamma), or 1 if that is more and start_at='residual'"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.eta < float("inf"):
            raise MethodError(f"expected a finite eta > 0, found {self.eta}.")
        if not 0 <= self.gamma < 1:
            raise MethodError(f"expected gamma in [0, 1), found {self.gamma}.")
        if self.form not in ("square", "linear"):
            raise MethodError(f"expected form='square' or 'linear', found {self.form!r}.")
        if self.start_at not in ("zero", "residual"):
            raise MethodError(f"expected start_at='zero' or 'residual', found {self.start_at!r}.")

    def bound(self, count: int) -> float:
        level = max(1.0, self.eta / (1 - self.gamma))
        return max(1.0, level if self.form == "linear" else level**2)

    def start(self, residuals: Tensor) -> dict[str, Tensor]:
        return {"level": torch.zeros_like(residuals)}

    def advance(
        self, found: PointSet, memory: dict[str, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        size = found.residuals.abs()
        largest = size.max()
        share = size / largest if largest > 0 else torch.zeros_like(size)
        if step == 1 and self.start_at == "residual":
            level = share
        else:
            level = self.gamma * memory["level"] + self.eta * share
        return (level.square() if self.form == "square" else level), {"level": level}
