"""Recorder: an aggregator that changes nothing and remembers what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.aggregator import Aggregator, Needs, Reweighting, State
from ..core.chain import Chain
from ..core.layout import TRUNK
from ..core.periodic import check_count
from ..core.step import Spec, StepView
from .profile import Profile


@dataclass(frozen=True)
class Recorder(Reweighting):
    """Sample losses and Gramian every ``every`` steps; the run stays bitwise the plain one.

    Its state has room for ``steps // every`` samples (at least one) and stops sampling when full.

    Args:
        steps: length of the profile, in optimizer steps.
        every: steps between samples; each sample costs one backward pass per loss.

    Raises:
        MethodError: ``steps`` or ``every`` is not a positive integer.
    """

    steps: int = 1000
    every: int = 10

    needs = Needs.GRAMIAN
    plain = True
    claim = "bitwise the plain step"
    source = "Kim, N'guessan 2026 (arXiv 2605.10136): profile the unmodified run"

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("every", self.every)

    @property
    def capacity(self) -> int:
        """T, the number of samples of a full profile."""
        return max(1, self.steps // self.every)

    def init(self, spec: Spec) -> State:
        t, k = self.capacity, spec.count
        cpu: dict[str, Any] = {"device": "cpu"}
        return {
            "losses": torch.zeros(t, k, dtype=torch.float64, **cpu),
            "gramians": torch.zeros(t, k, k, dtype=torch.float64, **cpu),
            "steps": torch.zeros(t, dtype=torch.int64, **cpu),
            "samples": torch.zeros((), dtype=torch.int64, **cpu),
            "first": torch.full((), -1, dtype=torch.int64, **cpu),
            "age": torch.zeros((), dtype=torch.int64, **cpu),
        }

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        first, n = int(state["first"]), int(state["samples"])
        age = view.step - first if first >= 0 else 0
        after = {**state, "age": torch.tensor(age + 1, device="cpu")}
        if first < 0:
            after["first"] = torch.tensor(view.step, device="cpu")
        # by the step rather than by calls: beside held coefficients not every step comes here
        if age >= n * self.every and n < self.capacity:
            # the Gramian first: its graphs are then gone when the plain step builds its own
            seen = {
                "gramians": view.gramian(TRUNK),
                "losses": view.losses.cpu().double(),
                "steps": torch.tensor(view.step, device="cpu"),
            }
            for key, value in seen.items():
                after[key] = state[key].clone()
                after[key][n] = value
            after["samples"] = state["samples"] + 1
        return view.ones(), after


def recorder_state(aggregator: Aggregator, state: State | None) -> State | None:
    """The part of a method's state that belongs to its recorder; ``None`` without one."""
    if state is None:
        return None
    if isinstance(aggregator, Recorder):
        return state
    if isinstance(aggregator, Chain) and isinstance(aggregator.members[0], Recorder):
        own = {k: v for k, v in state.items() if k.startswith("0.")}
        return {k.removeprefix("0."): v for k, v in own.items()}
    return None


def profile_of(state: State, names: tuple[str, ...]) -> Profile:
    """The samples in a recorder's state."""
    n = int(state["samples"])
    return Profile(
        names=names,
        steps=state["steps"][:n].numpy().copy(),
        losses=state["losses"][:n].numpy().copy(),
        gramians=state["gramians"][:n].numpy().copy(),
    )
