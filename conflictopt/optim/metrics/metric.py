"""The metric of an optimizer in the entries of all parameters of which an update is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...core.errors import MethodError
from ..guarded_soap import GuardedSOAP
from .parameter import AdamMetric, ParameterMetric, RMSpropMetric, SOAPMetric, StateShares

_KINDS: dict[str, type[ParameterMetric]] = {
    "torch.optim.sgd.SGD": ParameterMetric,
    "torch.optim.rmsprop.RMSprop": RMSpropMetric,
    "torch.optim.adam.Adam": AdamMetric,
    "torch.optim.adamw.AdamW": AdamMetric,
    "pytorch_optimizer.optimizer.soap.SOAP": SOAPMetric,
}
"""By where a class is defined: packages beside torch are not imported for it."""


class Metric:
    """The metric of a wrapped optimizer; made before its step, and read after it.

    Args:
        optimizer: that steps.
        params: of which an update is looked at, one after the other in the columns of a matrix.

    Raises:
        MethodError: an optimizer whose metric is not known.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, params: Sequence[Tensor]) -> None:
        if isinstance(optimizer, GuardedSOAP):
            optimizer = optimizer.of_next_step()
        kind = known_metric(optimizer)
        groups = {id(p): g for g in optimizer.param_groups for p in g["params"]}
        self._params, self._usual = list(params), kind.usual
        self._rates = [float(groups[id(p)]["lr"]) for p in params]
        # what has no gradient is not moved, and has no state
        self._parts = [
            None if p.grad is None else kind(optimizer, groups[id(p)], p) for p in params
        ]

    def moves(self, rows: Tensor) -> Tensor:
        """``lr M^-1`` of gradients ``[n, P]``: how far each would move the parameters."""
        found = []
        for p, rate, part, columns in zip(
            self._params, self._rates, self._parts, self._pieces(rows), strict=True
        ):
            if part is None:
                found.append(torch.zeros_like(columns))
            else:
                divided = part.divided(columns.reshape(-1, *p.shape))
                found.append(rate * divided.reshape(columns.shape))
        return torch.cat(found, dim=1)

    def follow(self, added: Tensor, momentum: float | None, scale: float | None) -> None:
        """Have the optimizer's state follow the update.

        Args:
            added: ``[P]`` the gradient that, divided by M, was added to the proposal.
            momentum, scale: how far, see ``StateShares``; ``None`` for what is usual with it.
        """
        usual = self._usual
        shares = StateShares(
            usual.momentum if momentum is None else momentum,
            usual.scale if scale is None else scale,
        )
        pieces = self._pieces(added[None])
        for p, part, piece in zip(self._params, self._parts, pieces, strict=True):
            if part is not None:
                part.follow(piece.view_as(p).to(p.dtype), shares)

    def _pieces(self, rows: Tensor) -> tuple[Tensor, ...]:
        return torch.split(rows, [p.numel() for p in self._params], dim=1)


def known_metric(optimizer: torch.optim.Optimizer) -> type[ParameterMetric]:
    """What is known of an optimizer's metric.

    Raises:
        MethodError: nothing, or it has options that no metric goes with.
    """
    if isinstance(optimizer, GuardedSOAP):
        optimizer = optimizer.inner
    kind = type(optimizer)
    known = _KINDS.get(f"{kind.__module__}.{kind.__qualname__}")
    if known is None:
        names = ", ".join(name.rpartition(".")[2] for name in _KINDS)
        raise MethodError(
            f"expected update='align' with one of {names}, whose metric is known, found "
            f"{kind.__name__}. Use update='correct', which projects in the Euclidean metric."
        )
    ascends = getattr(optimizer, "maximize", False)
    if ascends or any(group.get("maximize") for group in optimizer.param_groups):
        raise MethodError("expected maximize=False with update='align': losses are to fall.")
    if any(group.get("normalize_gradient") for group in optimizer.param_groups):
        raise MethodError(
            "expected normalize_gradient=False with update='align': a normalised update is no "
            "gradient divided by a metric."
        )
    return known
