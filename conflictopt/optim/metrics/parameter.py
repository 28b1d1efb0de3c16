"""The metric of an optimizer in the entries of one parameter.

An optimizer proposes ``u`` and moves ``theta <- theta - lr u``. Its metric ``M`` is what makes
``u`` the steepest descent: ``u = M^-1 m`` for a mean ``m`` of gradients. After an update to which
``M^-1 g`` was added, state follows by the pseudo-gradient ``a = M p`` of the aligned proposal p:
``m <- (1 - rho_m) m + rho_m (1 - beta_1^t) a``, likewise the mean of squares (arXiv 2609.01558).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor


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
    """That of SGD: the identity. Others derive from it.

    It is made before a step, and read after it.

    Args:
        optimizer: that steps.
        group: of the parameter.
        p: the parameter, with the gradient of this step.
    """

    usual: ClassVar[StateShares] = StateShares()
    """Shares unless others are asked for."""

    def __init__(self, optimizer: Any, group: dict[str, Any], p: Tensor) -> None:
        self.optimizer, self.group, self.p = optimizer, group, p

    @property
    def state(self) -> dict[str, Any]:
        """Of the parameter, at present."""
        found: dict[str, Any] = self.optimizer.state[self.p]
        return found

    def divided(self, rows: Tensor) -> Tensor:
        """``M^-1`` of gradients ``[n, *shape]``."""
        return rows

    def follow(self, added: Tensor, shares: StateShares) -> None:
        """Have the state follow an update to which ``M^-1 added`` was added."""
        buffer = self.state.get("momentum_buffer")
        if buffer is not None:
            buffer.add_(added, alpha=shares.momentum)


class RMSpropMetric(ParameterMetric):
    """Of ``torch.optim.RMSprop``."""

    def divided(self, rows: Tensor) -> Tensor:
        return rows / self._divisor()

    def follow(self, added: Tensor, shares: StateShares) -> None:
        assert self.p.grad is not None
        pseudo = self.p.grad + added
        if self.group["momentum"] > 0:
            divisor, buffer = self._divisor(), self.state["momentum_buffer"]
            pseudo = divisor * buffer + added
            buffer.add_(added / divisor, alpha=shares.momentum)
        self.state["square_avg"].lerp_(pseudo.square(), shares.scale)

    def _divisor(self) -> Tensor:
        squares: Tensor = self.state["square_avg"]
        if self.group["centered"]:
            squares = squares - self.state["grad_avg"].square()
        divisor: Tensor = squares.sqrt() + self.group["eps"]
        return divisor


class AdamMetric(ParameterMetric):
    """Of ``torch.optim.Adam`` and ``AdamW``."""

    def divided(self, rows: Tensor) -> Tensor:
        name = "max_exp_avg_sq" if self.group["amsgrad"] else "exp_avg_sq"
        second = corrections(self.group, float(self.state["step"]))[1]
        divisor: Tensor = (self.state[name] / second).sqrt() + self.group["eps"]
        return rows / divisor

    def follow(self, added: Tensor, shares: StateShares) -> None:
        first, second = corrections(self.group, float(self.state["step"]))
        m, v = self.state["exp_avg"], self.state["exp_avg_sq"]
        # the proposal is M^-1 m / first, so a = m / first + added, and m moves by its last part
        pseudo = m / first + added
        m.add_(added, alpha=shares.momentum * first)
        v.mul_(1 - shares.scale).add_(pseudo.square(), alpha=shares.scale * second)


class SOAPMetric(ParameterMetric):
    """Of pytorch_optimizer's ``SOAP``: Adam's, in the eigenbases of Shampoo's preconditioner.

    A step may turn the bases after it has moved: those that it moved by are kept from before.
    """

    usual = StateShares(0.03, 0.003)

    def __init__(self, optimizer: Any, group: dict[str, Any], p: Tensor) -> None:
        super().__init__(optimizer, group, p)
        self._bases, self._squares = self.state.get("Q"), self.state.get("exp_avg_sq")

    def divided(self, rows: Tensor) -> Tensor:
        if self._squares is None:  # the first step moves nothing
            return torch.zeros_like(rows)
        second = self._corrections()[1]
        divisor = (self._squares.sqrt() + self.group["eps"]) / second**0.5
        turned = [self._turned(row, self._bases, "forward") / divisor for row in rows]
        return torch.stack([self._turned(row, self._bases, "backward") for row in turned])

    def follow(self, added: Tensor, shares: StateShares) -> None:
        first, second = self._corrections()
        m, v = self.state["exp_avg"], self.state["exp_avg_sq"]
        pseudo = self._turned(m / first + added, self.state["Q"], "forward")
        m.add_(added, alpha=shares.momentum * first)
        v.mul_(1 - shares.scale).add_(pseudo.square(), alpha=shares.scale * second)

    def _turned(self, value: Tensor, bases: Any, way: str) -> Tensor:
        group = self.group
        options = {k: group[k] for k in ("merge_dims", "max_precondition_dim")}
        like = self._bases_like(bases, value)
        turned: Tensor = self.optimizer.project(value, {"Q": like}, **options, project_type=way)
        return turned

    @staticmethod
    def _bases_like(bases: Any, value: Tensor) -> list[Any]:
        return [b.to(value.dtype) if len(b) else b for b in bases]

    def _corrections(self) -> tuple[float, float]:
        if not self.group["correct_bias"]:
            return 1.0, 1.0
        return corrections(self.group, self.group["step"] - 1)


def corrections(group: dict[str, Any], steps: float) -> tuple[float, float]:
    """``1 - beta ** t`` of both means."""
    first, second = (float(beta) for beta in group["betas"])
    return 1 - first**steps, 1 - second**steps
