"""SOAP in place of another optimizer, which goes first and comes back if SOAP does worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.checks import check_count, is_number
from ..core.errors import CheckpointError, MethodError
from .hand_over import TRIAL, WORSE, HandOver
from .session import Session
from .soap import require_soap, soap
from .wrapper import OptimizerWrapper, with_step_hooks

RAMP = 100
"""Steps over which SOAP's rate rises: the eigenbases of the first are those of few gradients."""
KEY = "soap"
"""Of its part of a checkpoint."""
REPLACED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam)
"""Optimizers whose learning rate means what SOAP's does."""


class GuardedSOAP(OptimizerWrapper):
    """SOAP in place of Adam or one of its kin, for a ``MultiLossOptimizer`` to wrap.

    The other one takes the first steps; then SOAP does, at the other's learning rates times
    ``rate``, which rise to that over ``RAMP`` steps. If after ``TRIAL`` steps its losses are above
    ``WORSE`` times those at that change, or within them one is not finite, the parameters of that
    moment are restored, and the other one trains on with the state that it had. Schedules and the
    method's own state go on.

    Parameter groups are those of the other one: a schedule that changes their rates changes
    SOAP's; hooks of the other one rest while SOAP steps. A checkpoint of the other one loads, and
    begins before the change. Alone, without a ``MultiLossOptimizer`` that tells it of losses, it
    compares nothing.

    Args:
        optimizer: the other one, one of ``REPLACED`` without weight decay.
        rate: learning rate, relative to that of ``optimizer``.
        refresh: steps between two updates of the eigenbases.
        warm: steps that ``optimizer`` takes first; after none there is nothing to compare with.

    Attributes:
        inner: the other one.
        soap: made at the change; ``None`` before it, and after it has given back.
        given_back: the step from which the other one trained on, if it did.

    Raises:
        TypeError: not a torch optimizer.
        MethodError: a bad value, or an optimizer whose place SOAP cannot take.
        MissingExtraError: pytorch_optimizer is not there.
    """

    evaluates_once = True
    """It calls a closure once per step."""

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
        if warm != 0:
            check_count("warm", warm)
        _check_replaceable(optimizer)
        self.rate, self.refresh, self.warm = float(rate), refresh, warm
        self.soap: torch.optim.Optimizer | None = None
        self.given_back: int | None = None
        self._hand_over, self._taken, self._changed_at = HandOver(), 0, 0
        self._before: dict[Tensor, Tensor] = {}

    def of_next_step(self) -> torch.optim.Optimizer:
        """What takes the next step, at its learning rates; SOAP is made when it is its turn."""
        if self.soap is None and self._taken >= self.warm and self.given_back is None:
            self._change()
        if self.soap is None:
            return self.inner
        part = min(1.0, (self._taken - self._changed_at + 1) / RAMP)
        for own, other in zip(self._groups_of(self.soap), self.inner.param_groups, strict=True):
            own["params"], own["lr"] = other["params"], part * self.rate * float(other["lr"])
        return self.soap

    @with_step_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; see the wrapped optimizer's."""
        used = self.of_next_step()
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
        if self.given_back is not None or (self.soap is not None and not self._before):
            return None  # nothing is compared any more
        self._hand_over.note(loss)
        if self.soap is None or not self._hand_over.over:
            return None
        if self._hand_over.failed:
            return self._give_back(f"losses are above {WORSE:g} times those {TRIAL} steps ago")
        self._before = {}  # the trial is over
        return None

    def retreat(self) -> str | None:
        """A loss or a gradient is not finite; a sentence if the other one takes the next step."""
        if self.soap is None or not self._before:
            return None
        return self._give_back("a loss or a gradient is not finite")

    def _change(self) -> None:
        _check_replaceable(self.inner)  # groups may have been added
        self._hand_over.change()
        self._changed_at = self._taken
        if self._taken:
            self._before = {p: p.detach().clone() for p in self._params()}
        self.soap = soap([{"params": g["params"]} for g in self.inner.param_groups], self.refresh)

    def _give_back(self, why: str) -> str:
        with torch.no_grad():
            for p, before in self._before.items():
                p.copy_(before)
        self.soap, self._before, self.given_back = None, {}, self._taken
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
        numbers = {p: i for i, p in enumerate(self._params())}
        if self.soap is not None:
            self.of_next_step()  # its groups are those of the other one
            for p in [p for p in self.soap.state if p not in numbers]:
                del self.soap.state[p]  # adapters that were removed
        kept = {
            "taken": self._taken,
            "changed_at": self._changed_at,
            "given_back": self.given_back,
            "hand_over": self._hand_over.state_dict(),
            "before": {numbers[p]: v for p, v in self._before.items() if p in numbers},
            "optimizer": None if self.soap is None else self.soap.state_dict(),
        }
        return {**self.inner.state_dict(), KEY: kept}

    def _load(self, given: dict[str, Any]) -> None:
        own: Mapping[str, Any] | None = given.pop(KEY, None)
        try:
            loaded = self._parsed(own) if own is not None else _fresh()
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise CheckpointError(
                f"expected the state of SOAP in the checkpoint, found a damaged one: {error!r}."
            ) from error
        self.inner.load_state_dict(given)
        vars(self).update(loaded)

    def _parsed(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes from a checkpoint; nothing of this is changed."""
        found, params = _fresh(), self._params()
        found["_hand_over"].load_state_dict(own["hand_over"])
        before = {params[int(i)]: v.detach().clone() for i, v in own["before"].items()}
        if any(p.shape != v.shape for p, v in before.items()):
            raise ValueError("parameters of other shapes")
        saved, made = own["optimizer"], None
        if saved is not None:
            # adapters may have been added since: their parameters come last in a group
            sizes = [len(group["params"]) for group in saved["param_groups"]]
            pairs = zip(self.inner.param_groups, sizes, strict=True)
            made = soap([{"params": g["params"][:n]} for g, n in pairs], self.refresh)
            made.load_state_dict(saved)
            for part in (*made.param_groups, *made.state.values()):
                if "precondition_frequency" in part:  # like the other options it is this run's
                    part["precondition_frequency"] = self.refresh
        return found | {
            "soap": made,
            "_before": before,
            "_taken": int(own["taken"]),
            "_changed_at": int(own["changed_at"]),
            "given_back": own["given_back"],
        }

    def __getstate__(self) -> dict[str, Any]:
        # copies of SOAP itself lack what it keeps beside its groups (pytorch_optimizer 4.1.0)
        made = self.soap
        parts = None if made is None else (made.param_groups, dict(made.state))
        kept = ("inner", "rate", "refresh", "warm", *_fresh())
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


def note_step(optimizer: torch.optim.Optimizer, session: Session) -> None:
    """A step was taken: tell SOAP of its loss, and the reports if the other one goes on."""
    told = optimizer.saw_loss(session.loss) if isinstance(optimizer, GuardedSOAP) else None
    if told is not None:
        session.note("optimizer", told)


def retreated(optimizer: torch.optim.Optimizer) -> str | None:
    """A step could not be taken; a sentence if SOAP gives back."""
    return optimizer.retreat() if isinstance(optimizer, GuardedSOAP) else None


def _fresh() -> dict[str, Any]:
    """The attributes that a checkpoint has, at their start."""
    return {
        "soap": None,
        "given_back": None,
        "_hand_over": HandOver(),
        "_taken": 0,
        "_changed_at": 0,
        "_before": {},
    }


def _check_replaceable(optimizer: torch.optim.Optimizer) -> None:
    name = type(optimizer).__name__
    if type(optimizer) not in REPLACED:
        known = ", ".join(kind.__name__ for kind in REPLACED)
        raise MethodError(
            f"expected one of {known} to have SOAP in its place, found {name}: learning rates of "
            "others mean something else. Wrap pytorch_optimizer.SOAP itself."
        )
    groups = optimizer.param_groups
    if any(group.get("maximize") for group in groups):
        raise MethodError(f"expected maximize=False with SOAP in place of {name}.")
    if any(group.get("weight_decay") for group in groups):
        raise MethodError(
            f"expected no weight decay (the network's L2 regularisation) with SOAP in place of "
            f"{name}: it decays weights in another way. Remove it, or leave 'soap' out."
        )
