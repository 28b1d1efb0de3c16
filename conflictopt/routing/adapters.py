"""Which loss reaches which low-rank adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core.aggregator import Needs, Routing, State
from ..core.errors import MethodError
from ..core.layout import ADAPTER, ParameterLayout
from ..core.step import StepView


@dataclass(frozen=True)
class AdapterRouting(Routing):
    """Send the losses to the per-loss adapters: every loss to all of them, or each to its own.

    Formula: ``C[k, b] = 1`` for the trunk and the unknowns; for the adapter block of loss j,
    ``shared``: ``C[k, b] = 1`` for every k; ``exclusive``: ``C[k, b] = 1`` if k = j, else 0.
    Shapes: coefficients ``[K]`` (shared) or ``[K, B]`` (exclusive).
    Source: Kim and N'guessan 2026 (arXiv 2605.10136), abstract only: the paper's routing is
    not known to us.
    Differs: two plausible readings. Shared routing equals one residual block of rank K * r, i.e.
    extra capacity; it has a scalar objective and works with line searches. Exclusive routing is
    a game, not descent on one objective, and refuses them.

    Args:
        routing: ``"shared"`` or ``"exclusive"``.

    Raises:
        MethodError: bad ``routing``; at run time, exclusive without one adapter block per loss.

    >>> import torch, conflictopt
    >>> w, a = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    >>> sgd = torch.optim.SGD([w, a], lr=1.0)
    >>> opt = conflictopt.MultiLossOptimizer(
    ...     sgd, conflictopt.make("adapters", routing="exclusive"), blocks={"adapter/bc": [a]}
    ... )
    >>> opt.step({"bc": (2 * w + 3 * a).sum()})
    >>> (-w).item(), (-a).item()
    (2.0, 3.0)
    """

    routing: Literal["shared", "exclusive"] = "shared"

    needs = Needs.LOSSES
    source = "Kim, N'guessan 2026 (arXiv 2605.10136), abstract"
    claim = "each loss reaches all adapters (shared), or its own alone (exclusive)"
    passes = "K if routing == 'exclusive' else 1"

    def __post_init__(self) -> None:
        if self.routing not in ("shared", "exclusive"):
            raise MethodError(f"expected routing='shared' or 'exclusive', found {self.routing!r}.")

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return self.routing == "shared"

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if self.routing == "shared":
            return view.ones(), state
        owned = {b.owner for b in view.layout.blocks if b.owner is not None}
        missing = [n for n in view.spec.names if n not in owned]
        if missing or len(owned) != view.count:
            raise MethodError(
                f"exclusive routing needs one block '{ADAPTER}<loss>' for each of the losses "
                f"{view.spec.names}, found adapters for {tuple(sorted(owned))}. Attach them with "
                "conflictopt.adapters.attach and pass blocks=adapters.blocks()."
            )
        columns = [
            view.ones()
            if b.owner is None
            else torch.tensor([float(n == b.owner) for n in view.spec.names]).to(view.ones())
            for b in view.layout.blocks
        ]
        return torch.stack(columns, dim=1), state
