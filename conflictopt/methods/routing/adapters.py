"""Which loss reaches which low-rank adapter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Needs, Routing, State
from ...core.errors import MethodError
from ...core.layout import ADAPTER, ParameterLayout
from ...core.routed import SHARE, RoutingName, check_routing
from ...core.step import StepView


@dataclass(frozen=True)
class AdapterRouting(Routing):
    """Send the losses to the per-loss adapters: every loss to all of them, or each to its own.

    Formula: ``C[k, b] = 1`` for the trunk and the unknowns; for the adapter block of loss j,
    ``C[k, b] = 1`` if k = j, and for the others 1 (``shared``), 0 (``exclusive``) or ``share``
    (``mixed``).
    Shapes: coefficients ``[K]`` (shared) or ``[K, B]``.
    Source: Kim and N'guessan 2026 (arXiv 2605.10136), abstract only: the paper's routing is
    not known to us.
    Differs: plausible readings. Shared routing equals one residual block of rank K * r, i.e.
    extra capacity; it has a scalar objective and works with line searches. Exclusive routing is
    a game, not descent on one objective, and refuses them; mixed routing lies between. Under Adam
    a common factor of an adapter's gradient cancels, so that ``share`` matters only against the
    adapter's own loss.

    Args:
        routing: ``"shared"``, ``"exclusive"`` or ``"mixed"``.
        share: of the other losses' gradients in ``mixed`` routing, in [0, 1]; 0 is exclusive, 1
            is shared routing (without its scalar objective).

    Raises:
        MethodError: a bad option; at run time, routing to each its own without one adapter block
            per loss.

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

    routing: RoutingName = "shared"
    share: float = SHARE

    needs = Needs.LOSSES
    source = "Kim, N'guessan 2026 (arXiv 2605.10136), abstract"
    claim = "each loss reaches all adapters (shared), its own (exclusive) or mostly its own (mixed)"
    passes = "1 if routing == 'shared' else K"

    def __post_init__(self) -> None:
        check_routing(self.routing, self.share)

    @property
    def _others(self) -> float:
        """What the losses of other adapters weigh."""
        return {"shared": 1.0, "exclusive": 0.0, "mixed": float(self.share)}[self.routing]

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return self.routing == "shared"

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        owned = {b.owner for b in view.layout.blocks if b.owner is not None}
        if self.routing == "shared":
            if not owned:
                view.report(
                    "adapters",
                    "no adapters are trained, so routing changes nothing: "
                    "conflictopt.attach makes them, add_adapters trains them.",
                )
            return view.ones(), state
        missing = [n for n in view.spec.names if n not in owned]
        if missing or len(owned) != view.count:
            raise MethodError(
                f"{self.routing} routing needs one block '{ADAPTER}<loss>' for each of the losses "
                f"{view.spec.names}, found adapters for {tuple(sorted(owned))}. Attach them with "
                "conflictopt.attach and train them with add_adapters."
            )
        columns = [
            view.ones()
            if b.owner is None
            else view.ones().new_tensor(
                [1.0 if n == b.owner else self._others for n in view.spec.names]
            )
            for b in view.layout.blocks
        ]
        return torch.stack(columns, dim=1), state
