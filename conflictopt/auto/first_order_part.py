"""First-order steps as a part of a run of ``auto``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.errors import MethodError, MissingExtraError
from ..optim.guarded_soap import GuardedSOAP
from ..optim.optimizer import MultiLossOptimizer
from .closures import Closure, made
from .residual_part import parameters, sum_of

WARM = 20
"""Steps of the loop's own optimizer before SOAP's, which are held against them."""


class FirstOrderPart:
    """Steps of a loop's own optimizer, or of SOAP in its place.

    Args:
        optimizer: of the loop.
        method: weights the losses.
        seed: of the method.
        soap: whether SOAP takes its place, where it can.

    Attributes:
        run: takes the steps.
        steps: taken so far.
    """

    kind = "first order"
    helped = True

    def __init__(self, optimizer: MultiLossOptimizer, method: Any, seed: int, soap: bool) -> None:
        self.steps, self._seed, self._soap = 0, seed, soap
        self._lowest, self._values = math.inf, list[Tensor]()
        self._make(optimizer, method)

    def _make(self, optimizer: MultiLossOptimizer, method: Any) -> None:
        self.params = parameters(optimizer)
        session = optimizer.session
        self.run = MultiLossOptimizer(
            soap_or_own(optimizer.inner) if self._soap else optimizer.inner,
            method,
            names=session.names,
            equations=session.equations,
            blocks=optimizer.blocks,
            seed=self._seed,
            engine=session.engine,
            every=session.every,
            on_nonfinite=optimizer.on_nonfinite,
        )
        self.run.session.reports = session.reports
        self.run.skipped = optimizer.skipped

    @property
    def preconditioned(self) -> bool:
        """Whether SOAP takes the steps, or may."""
        return isinstance(self.run.inner, GuardedSOAP)

    def follow(self, optimizer: MultiLossOptimizer) -> None:
        """The loop has another optimizer: steps begin anew."""
        self._lowest, self._values = math.inf, []
        self._make(optimizer, self.run.aggregator)

    def step(self, closure: Closure, last: bool) -> float | None:
        """Take one.

        Args:
            closure: returns the losses.
            last: whether it is one of the last, of which the best is kept.

        Returns:
            The sum of the losses before it; ``None`` if it was skipped.

        Raises:
            Exception: of the closure; see ``MultiLossOptimizer.step``.
        """
        skipped = self.run.skipped
        before = [p.detach().clone() for p in self.params] if last else []
        self.run.step(made(closure))
        self.steps += 1
        if self.run.skipped > skipped:
            return None
        found = sum_of(self.run.last)
        if last and found < self._lowest:
            self._lowest, self._values = found, before
        return found

    @torch.no_grad()
    def load_best(self, closure: Closure) -> None:
        """Give the parameters the values of the lowest loss of late, unless theirs is lower.

        A learning rate that does not fall leaves the loss of single steps many times above it.
        """
        if not self._values:
            return
        with torch.enable_grad():
            now = self.run.session.read(made(closure)(), None, None).together()
        if float(sum(now.values())) <= self._lowest:
            return
        for p, value in zip(self.params, self._values, strict=True):
            p.copy_(value)

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers that ``load_state_dict`` goes on from."""
        kept = {"lowest": self._lowest, "values": list(self._values), "steps": self.steps}
        return {"run": self.run.state_dict(), **kept}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.run.load_state_dict(saved["run"])
        self._lowest, self.steps = float(saved["lowest"]), int(saved["steps"])
        pairs = zip(self.params, saved["values"], strict=False)
        self._values = [value.to(p).clone() for p, value in pairs]


def soap_or_own(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """SOAP in the place of an optimizer, or that itself where SOAP cannot take it."""
    try:
        return GuardedSOAP(optimizer, warm=WARM)
    except (MethodError, MissingExtraError):
        return optimizer
