"""Metrics of torch optimizers: what they divide gradients by, and how state follows an update.

An optimizer proposes ``u`` and moves ``theta <- theta - lr u``. Its metric ``M`` is what makes
``u`` the steepest descent: ``u = M^-1 m`` for a mean ``m`` of gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import MethodError


@dataclass(frozen=True)
class StateShares:
    """How far an optimizer's state follows an aligned update, on steps that were aligned.

    Args:
        momentum: rho_m, of the mean of gradients.
        scale: rho_v, of the mean of their squares.
    """

    momentum: float = 0.1
    scale: float = 0.03


class ParameterMetric:
    """The metric in the entries of one parameter, right after a step; here SGD's, the identity.

    Args:
        group, state: of the parameter, in the optimizer.
        grad: its gradient in this step.
    """

    def __init__(self, group: dict[str, Any], state: dict[str, Any], grad: Tensor) -> None:
        self.group, self.state, self.grad = group, state, grad

    def divisor(self) -> Tensor:
        """The diagonal of M."""
        return torch.ones_like(self.grad)

    def follow(self, added: Tensor, shares: StateShares) -> None:
        """Have the state follow an update to which ``M^-1 added`` was added.

        Source: arXiv 2609.01558. With the pseudo-gradient ``a = M p`` of the aligned proposal p,
        ``m <- (1 - rho_m) m + rho_m (1 - beta_1^t) a``, and likewise the mean of squares.
        """
        buffer = self.state.get("momentum_buffer")
        if buffer is not None:
            buffer.add_(added, alpha=shares.momentum)


class _RMSprop(ParameterMetric):
    def divisor(self) -> Tensor:
        squares: Tensor = self.state["square_avg"]
        if self.group["centered"]:
            squares = squares - self.state["grad_avg"].square()
        divisor: Tensor = squares.sqrt() + self.group["eps"]
        return divisor

    def follow(self, added: Tensor, shares: StateShares) -> None:
        pseudo = self.grad + added
        if self.group["momentum"] > 0:
            divisor, buffer = self.divisor(), self.state["momentum_buffer"]
            pseudo = divisor * buffer + added
            buffer.add_(added / divisor, alpha=shares.momentum)
        self.state["square_avg"].lerp_(pseudo.square(), shares.scale)


class _Adam(ParameterMetric):
    def divisor(self) -> Tensor:
        name = "max_exp_avg_sq" if self.group["amsgrad"] else "exp_avg_sq"
        divisor: Tensor = (self.state[name] / self._corrections()[1]).sqrt() + self.group["eps"]
        return divisor

    def follow(self, added: Tensor, shares: StateShares) -> None:
        first, second = self._corrections()
        m, v = self.state["exp_avg"], self.state["exp_avg_sq"]
        # the proposal is M^-1 m / first, so a = m / first + added, and m moves by its last part
        pseudo = m / first + added
        m.add_(added, alpha=shares.momentum * first)
        v.mul_(1 - shares.scale).add_(pseudo.square(), alpha=shares.scale * second)

    def _corrections(self) -> tuple[float, float]:
        """``1 - beta ** t`` of both means."""
        first, second = (float(beta) for beta in self.group["betas"])
        t = float(self.state["step"])
        return 1 - first**t, 1 - second**t


_KINDS: dict[type[torch.optim.Optimizer], type[ParameterMetric]] = {
    torch.optim.SGD: ParameterMetric,
    torch.optim.RMSprop: _RMSprop,
    torch.optim.Adam: _Adam,
    torch.optim.AdamW: _Adam,
}


class Metric:
    """The metric of a wrapped optimizer right after its step.

    Args:
        optimizer: that stepped.
        params: of which an update is looked at, one after the other in the columns of a matrix.

    Raises:
        MethodError: an optimizer whose metric is not known.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, params: Sequence[Tensor]) -> None:
        kind = known_metric(optimizer)
        groups = {id(p): g for g in optimizer.param_groups for p in g["params"]}
        self._params = list(params)
        self._rates = [float(groups[id(p)]["lr"]) for p in params]
        self._parts = [
            # what has no gradient is not moved, and has no state
            None if p.grad is None else kind(groups[id(p)], optimizer.state[p], p.grad)
            for p in params
        ]

    def inverse(self) -> Tensor:
        """``[P]`` float64 diagonal of ``lr M^-1``: how far a unit of gradient moves each entry."""
        found = []
        for p, rate, part in zip(self._params, self._rates, self._parts, strict=True):
            divisor = torch.full_like(p, torch.inf) if part is None else part.divisor()
            found.append(rate / divisor.detach().double().reshape(-1))
        return torch.cat(found)

    def follow(self, added: Tensor, shares: StateShares) -> None:
        """Have the optimizer's state follow the update.

        Args:
            added: ``[P]`` the gradient that, divided by M, was added to the proposal.
            shares: how far.
        """
        pieces = added.split([p.numel() for p in self._params])  # type: ignore[no-untyped-call]
        for p, part, piece in zip(self._params, self._parts, pieces, strict=True):
            if part is not None:
                part.follow(piece.view_as(p).to(p.dtype), shares)


def known_metric(optimizer: torch.optim.Optimizer) -> type[ParameterMetric]:
    """What is known of an optimizer's metric.

    Raises:
        MethodError: nothing.
    """
    known = _KINDS.get(type(optimizer))
    if known is None:
        names = ", ".join(t.__name__ for t in _KINDS)
        raise MethodError(
            f"expected update='align' with one of {names}, whose metric is known, found "
            f"{type(optimizer).__name__}. Use update='correct', which projects in the Euclidean "
            "metric."
        )
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise MethodError("expected maximize=False with update='align': losses are to fall.")
    return known
