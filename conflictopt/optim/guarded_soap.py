"""SOAP in place of another optimizer, which goes first and comes back if SOAP does worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from ..core.checks import check_count, is_number
from ..core.errors import MethodError
from .hand_over import WORSE, HandOver
from .line_search import searches_lines
from .soap import require_soap, soap
from .wrapper import OptimizerWrapper, with_step_hooks

RAMP = 100
"""Steps over which SOAP's rate rises: the eigenbases of its first ones are those of few gradients,
and such steps at the full rate lead anywhere."""
KEY = "soap"


class GuardedSOAP(OptimizerWrapper):
    """SOAP in place of an optimizer, for a ``MultiLossOptimizer`` to wrap.

    The other one takes the first steps; then SOAP does, at the other's learning rates times
    ``rate``. If from ``TRIAL`` steps on its losses are above ``WORSE`` times those at that change,
    or one is not finite, the parameters and the state of that moment are restored, and the other
    one trains on.

    Parameter groups are those of the other one: a schedule that changes their rates changes
    SOAP's. A checkpoint of the other one loads, and begins before the change.

    Args:
        optimizer: the other one, any of torch's that does not search lines or decay weights.
        rate: learning rate, relative to that of ``optimizer``.
        refresh: steps between two updates of the eigenbases.
        warm: steps that ``optimizer`` takes first; after none there is nothing to compare with.

    Attributes:
        inner: the other one.
        soap: made at the change; ``None`` before it, and after it has given back.
        given_back: the step from which the other one trained on, if it did.

    Raises:
        TypeError: not a torch optimizer.
        MethodError: a bad value, or an optimizer that searches lines, steps by residuals or decays
            weights.
        MissingExtraError: pytorch_optimizer is not there.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        rate: float = 0.75,
        refresh: int = 10,
        warm: int = 150,
    ) -> None:
        require_soap()
        super().__init__(optimizer)
        if not (is_number(rate) and rate > 0):
            raise MethodError(f"expected rate as a number > 0, found {rate!r}.")
        check_count("refresh", refresh)
        if warm:
            check_count("warm", warm)
        _check_replaceable(optimizer)
        self.rate, self.refresh, self.warm = float(rate), refresh, warm
        self.soap: torch.optim.Optimizer | None = None
        self.given_back: int | None = None
        self._hand_over, self._taken = HandOver(), 0
        self._before: list[Tensor] | None = None

    def ready(self) -> torch.optim.Optimizer:
        """What takes the next step, at its learning rates."""
        if self.soap is None and self._taken >= self.warm and self.given_back is None:
            self._change()
        if self.soap is None:
            return self.inner
        part = min(1.0, (self._taken - self.warm + 1) / RAMP)
        for own, other in zip(self._groups_of(self.soap), self.inner.param_groups, strict=True):
            own["params"], own["lr"] = other["params"], part * self.rate * float(other["lr"])
        return self.soap

    @with_step_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; see the wrapped optimizer's."""
        used = self.ready()
        result = used.step() if closure is None else used.step(closure)
        if used is not self.inner:
            # a schedule asks its optimizer whether it has stepped: SOAP did in its place
            self.inner._opt_called = True  # type: ignore[attr-defined]
        self._taken += 1
        return result

    def saw_loss(self, loss: float) -> str | None:
        """The step was taken; a sentence if the other one takes the next.

        Args:
            loss: at its beginning: the sum of the losses as they came.
        """
        self._hand_over.note(loss)
        if self.soap is None or not self._hand_over.failed:
            return None
        since = self._hand_over.since
        return self._give_back(f"losses are above {WORSE:g} times those before, {since} steps ago")

    def retreat(self) -> str | None:
        """A loss or a gradient is not finite; a sentence if the other one takes the next step."""
        if self.soap is None or self._before is None:
            return None
        return self._give_back("a loss or a gradient is not finite")

    def _change(self) -> None:
        self._hand_over.change()
        if self._taken:
            self._before = [p.detach().clone() for p in self._params()]
        self.soap = soap([{"params": g["params"]} for g in self.inner.param_groups], self.refresh)

    def _give_back(self, why: str) -> str:
        assert self._before is not None
        with torch.no_grad():
            for p, before in zip(self._params(), self._before, strict=False):
                p.copy_(before)  # parameters that came later keep their values
        self.soap, self._before, self.given_back = None, None, self._taken
        name = type(self.inner).__name__
        return f"under SOAP {why}: {name} goes on from where it began."

    def _params(self) -> list[Tensor]:
        return [p for group in self.inner.param_groups for p in group["params"]]

    def _groups_of(self, made: torch.optim.Optimizer) -> list[dict[str, Any]]:
        """Its groups, with those that were added to the other one."""
        for group in self.inner.param_groups[len(made.param_groups) :]:
            made.add_param_group({"params": group["params"]})
        return made.param_groups

    # -- checkpoints, copies ------------------------------------------------------------------

    def _save(self) -> dict[str, Any]:
        kept = {
            "taken": self._taken,
            "given_back": self.given_back,
            "hand_over": self._hand_over.state_dict(),
            "before": self._before,
            "optimizer": None if self.soap is None else self.soap.state_dict(),
        }
        return {**self.inner.state_dict(), KEY: kept}

    def _load(self, given: dict[str, Any]) -> None:
        own: Mapping[str, Any] | None = given.pop(KEY, None)
        made = None
        if own is not None and own["optimizer"] is not None:
            groups = [{"params": g["params"]} for g in self.inner.param_groups]
            made = soap(groups, self.refresh)
            made.load_state_dict(own["optimizer"])
        self.inner.load_state_dict(given)
        self.soap, self._hand_over = made, HandOver()
        self._taken = self.given_back = self._before = None  # type: ignore[assignment]
        if own is None:
            self._taken = 0
            return
        self._taken, self.given_back = own["taken"], own["given_back"]
        self._before = deepcopy(own["before"])
        self._hand_over.load_state_dict(own["hand_over"])

    def __getstate__(self) -> dict[str, Any]:
        # copies of SOAP itself lack what it keeps beside its groups (pytorch_optimizer 4.1.0)
        made = self.soap
        parts = None if made is None else (made.param_groups, dict(made.state))
        kept = ("inner", "rate", "refresh", "warm", "given_back", "_hand_over", "_taken", "_before")
        return {name: self.__dict__[name] for name in kept} | {"soap": parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        parts = state.get("soap")
        if parts is not None:
            groups, own = parts
            made = soap([{"params": g["params"]} for g in groups], state["refresh"])
            made.param_groups[:] = groups
            made.state.update(own)
            state = {**state, "soap": made}
        super().__setstate__(state)

    def __repr__(self) -> str:
        return (
            f"GuardedSOAP({self.inner!r}, rate={self.rate:g}, refresh={self.refresh}, "
            f"warm={self.warm})"
        )


def _check_replaceable(optimizer: torch.optim.Optimizer) -> None:
    name = type(optimizer).__name__
    if searches_lines(optimizer) or getattr(optimizer, "reads_residuals", False):
        raise MethodError(f"expected an optimizer that steps by gradients, found {name}.")
    if any(group.get("weight_decay") for group in optimizer.param_groups):
        raise MethodError(
            f"expected no weight decay (the network's L2 regularisation) with SOAP in place of "
            f"{name}: it decays weights in another way. Remove it, or leave 'soap' out."
        )
