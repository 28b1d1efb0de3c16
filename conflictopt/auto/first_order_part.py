"""First-order steps as a part of a run of ``auto``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.errors import MethodError, MissingExtraError
from ..optim import run_checkpoint
from ..optim.guarded_soap import RAMP, GuardedSOAP
from ..optim.hand_over import TRIAL
from ..optim.optimizer import MultiLossOptimizer
from .closures import Closure, made
from .residual_part import parameters, run_in_place_of, sum_of

WARM = 20
"""Steps of the loop's own optimizer before SOAP's, which are held against them."""
LEAST_OF_SOAP = WARM + RAMP + TRIAL
"""Steps that it takes until SOAP goes at its full rate, and has shown that it does no harm."""
_ANCHORED = 100
"""Steps of SOAP between two values of the parameters that are kept, in case it fails."""


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
        own: whether the loop's own optimizer is wanted.
    """

    kind = "first order"

    def __init__(self, optimizer: MultiLossOptimizer, method: Any, seed: int, soap: bool) -> None:
        self.steps, self._seed, self.own = 0, seed, not soap
        self._lowest, self._values = math.inf, list[Tensor]()
        self._anchor = list[Tensor]()
        self._make(optimizer, method)

    def _make(self, optimizer: MultiLossOptimizer, method: Any) -> None:
        self.params = parameters(optimizer)
        inner = optimizer.inner if self.own else soap_or_own(optimizer.inner)
        self.run = run_in_place_of(optimizer, inner, method, self._seed, optimizer.session.every)

    @property
    def preconditioned(self) -> bool:
        """Whether SOAP takes the steps, or may."""
        return isinstance(self.run.inner, GuardedSOAP)

    def follow(self, optimizer: MultiLossOptimizer, method: Any) -> None:
        """The loop has another optimizer: steps begin anew.

        Args:
            optimizer: of the loop.
            method: weights the losses from now on.
        """
        self.forget()
        self._make(optimizer, method)

    def forget(self) -> None:
        """What was best so far was so on other points, or with other weights."""
        self._lowest, self._values = math.inf, []

    def step(self, closure: Closure, last: bool) -> float | None:
        """Take one.

        Args:
            closure: returns the losses.
            last: whether it is one of the last, of which the best is kept, but for the loop's own,
                which end as they would have ended.

        Returns:
            The sum of the losses before it; ``None`` if it was skipped.

        Raises:
            Exception: of the closure; see ``MultiLossOptimizer.step``.
        """
        skipped, last = self.run.skipped, last and not self.own
        kept = last or (self.preconditioned and self.steps % _ANCHORED == 0)
        before = [p.detach().clone() for p in self.params] if kept else []
        self.run.step(made(closure))
        if self.run.skipped > skipped:
            return None
        if self.preconditioned and self.steps % _ANCHORED == 0:
            self._anchor = before  # whose losses and gradients are finite
        self.steps += 1
        found = sum_of(self.run.last)
        if last and found < self._lowest:
            self._lowest, self._values = found, before
        return found

    def undo(self) -> None:
        """SOAP failed: give the parameters values that they had before."""
        if self._anchor:
            self._give(self._anchor)

    def load_best(self, closure: Closure) -> None:
        """Give the parameters the values of the lowest loss of late, unless theirs is lower now.

        A learning rate that does not fall leaves the loss of single steps many times above it.
        """
        if not self._values:
            return
        evaluated = made(closure)
        present, now = [p.detach().clone() for p in self.params], self._loss(evaluated)
        self._give(self._values)
        if not self._loss(evaluated) < now:
            self._give(present)

    def _loss(self, closure: Closure) -> float:
        """The sum of the losses, as they come."""
        return float(sum(self.run.session.read(closure(), None, None).together().values()))

    @torch.no_grad()
    def _give(self, values: list[Tensor]) -> None:
        for p, value in zip(self.params, values, strict=True):
            p.copy_(value)

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers that ``load_state_dict`` goes on from."""
        kept = {"lowest": self._lowest, "values": list(self._values), "steps": self.steps}
        of_the_loop = self._of_the_loop()  # which saves it
        own = {
            k: v
            for k, v in run_checkpoint.save(self.run, whole=False).items()
            if k not in of_the_loop
        }
        return {"run": own, "anchor": list(self._anchor), **kept}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        run_checkpoint.load(self.run, {**self._of_the_loop(), **saved["run"]}, whole=False)
        self._lowest, self.steps = float(saved["lowest"]), int(saved["steps"])
        for name, values in (("_values", saved["values"]), ("_anchor", saved["anchor"])):
            pairs = zip(self.params, values, strict=False)
            setattr(self, name, [value.to(p).clone() for p, value in pairs])

    def _of_the_loop(self) -> dict[str, Any]:
        """The present state of the loop's optimizer."""
        inner = self.run.inner
        return (inner.inner if isinstance(inner, GuardedSOAP) else inner).state_dict()


def soap_or_own(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """SOAP in the place of an optimizer, or that itself where SOAP cannot take it."""
    try:
        return GuardedSOAP(optimizer, warm=WARM)
    except (MethodError, MissingExtraError):
        return optimizer
