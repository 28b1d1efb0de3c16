"""Recorder: an aggregator that changes nothing and remembers what it saw."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.aggregator import Aggregator, Needs, Reweighting, State
from ..core.chain import Chain
from ..core.checks import check_count
from ..core.errors import MethodError
from ..core.layout import TRUNK
from ..core.step import Spec, StepView
from .profile import Profile

_UNSEEN = -2.0
"""In place of a cosine, of an update that was not looked at."""
_LAYER = "gramians/"
"""Prefix of the state's keys for the Gramians of layers; the rest is the layer's name."""


def sampling(steps: int, every: int | None = None) -> int:
    """Steps between samples: as asked, or such that a profile has 100 samples."""
    return every if every is not None else max(1, steps // 100)


@dataclass(frozen=True)
class Recorder(Reweighting):
    """Sample losses and Gramians every ``every`` steps; the run stays bitwise the plain one.

    Its state has room for ``steps // every`` samples (at least one) and stops sampling when full.
    Of the sampled steps it also notes whether the wrapped optimizer's update raised a loss.
    Beside the Gramian over the whole trunk it keeps one for each layer of it, from the same rows:
    no further backward pass. The layout is not divided into layers for that, since methods chained
    with the recorder would then sum block by block, in another order.

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

    def joined(self, run: Any) -> None:
        object.__setattr__(self, "_run", weakref.ref(run))

    def __getstate__(self) -> dict[str, Any]:
        # a run cannot be pickled through its recorder; it joins again when it is unpickled
        return {k: v for k, v in self.__dict__.items() if k != "_run"}

    def profile(self) -> Profile:
        """The samples so far of the run that used the recorder last.

        Raises:
            MethodError: no run uses it, or none has taken a step.
        """
        run = getattr(self, "_run", lambda: None)()
        found = recorded(run) if run is not None else None
        if found is None:
            raise MethodError(
                "expected a recorder that has seen a step, found one that "
                f"{'no optimizer uses' if run is None else 'has seen none'}: train with "
                "MultiLossOptimizer(optimizer, recorder), then ask for its profile."
            )
        return found

    def profile_in(self, run: Any) -> Profile | None:
        """The samples so far of a run that uses it; ``None`` before its first."""
        return recorded(run)

    @property
    def capacity(self) -> int:
        """T, the number of samples of a full profile."""
        return max(1, self.steps // self.every)

    def init(self, spec: Spec) -> State:
        t, k = self.capacity, spec.count
        cpu: dict[str, Any] = {"device": "cpu"}
        layers = {
            _LAYER + name: torch.zeros(t, k, k, dtype=torch.float64, **cpu) for name in spec.layers
        }
        return {
            "losses": torch.zeros(t, k, dtype=torch.float64, **cpu),
            "gramians": torch.zeros(t, k, k, dtype=torch.float64, **cpu),
            "steps": torch.zeros(t, dtype=torch.int64, **cpu),
            "updates": torch.full((t,), _UNSEEN, dtype=torch.float64, **cpu),
            "samples": torch.zeros((), dtype=torch.int64, **cpu),
            "first": torch.full((), -1, dtype=torch.int64, **cpu),
            "age": torch.zeros((), dtype=torch.int64, **cpu),
            "regrouped": torch.zeros((), dtype=torch.bool, **cpu),
            **layers,
        }

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        first, n = int(state["first"]), int(state["samples"])
        age = view.step - first if first >= 0 else 0
        after = {**state, "age": torch.tensor(age + 1, device="cpu")}
        if first < 0:
            after["first"] = torch.tensor(view.step, device="cpu")
        if self._due(age, n):
            # the Gramian first: its graphs are then gone when the plain step builds its own
            seen = {
                "gramians": view.gramian(TRUNK),
                "losses": view.losses.cpu().double(),
                "steps": torch.tensor(view.step, device="cpu"),
            }
            seen |= self._layer_gramians(view, state, after)
            for key, value in seen.items():
                after[key] = state[key].clone()
                after[key][n] = value
            after["samples"] = state["samples"] + 1
        return view.ones(), after

    def _due(self, age: int, samples: int) -> bool:
        """Whether a step is one to sample.

        By the step rather than by calls: beside held coefficients not every step comes here.
        """
        return age >= samples * self.every and samples < self.capacity

    def asks_for_update(self, step: int, state: State | None) -> bool:
        if state is None or int(state["first"]) < 0:
            return True
        return self._due(step - int(state["first"]), int(state["samples"]))

    def saw_update(self, step: int, state: State, worst: float) -> State:
        last = int(state["samples"]) - 1
        if last < 0 or int(state["steps"][last]) != step:
            return state  # coefficients were held, and nothing was sampled
        updates = state["updates"].clone()
        updates[last] = worst
        return {**state, "updates": updates}

    def _layer_gramians(self, view: StepView, state: State, after: State) -> State:
        """One ``[K, K]`` Gramian per layer, unless the layers are not those of the first sample."""
        layers = view.spec.layers
        if not layers and not _layers(state):
            return {}
        if layers == _layers(state):
            return {_LAYER + name: g for name, g in zip(layers, view.layer_gramians(), strict=True)}
        if not bool(state["regrouped"]):
            after["regrouped"] = torch.ones((), dtype=torch.bool, device="cpu")
            view.report(
                "profile without layers",
                f"the profile began with the layers {_layers(state)}, and now there are {layers}: "
                "it will hold none of them. Profile before parameters are added or frozen.",
            )
        return {}


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


def _layers(state: State) -> tuple[str, ...]:
    """The layers whose Gramians the state has room for."""
    return tuple(key.removeprefix(_LAYER) for key in state if key.startswith(_LAYER))


def recorded(run: Any) -> Profile | None:
    """The samples of a run whose method has a recorder; ``None`` before the first.

    Args:
        run: has ``aggregator``, ``state`` and ``names``.
    """
    seen = recorder_state(run.aggregator, run.state)
    if seen is None or run.names is None or int(seen["samples"]) == 0:
        return None
    return profile_of(seen, run.names)


def profile_of(state: State, names: tuple[str, ...]) -> Profile:
    """The samples in a recorder's state."""
    n, blocks = int(state["samples"]), _layers(state)
    if bool(state["regrouped"]) or not blocks:
        blocks, grams = (), None
    else:
        grams = np.stack([state[_LAYER + b][:n].numpy() for b in blocks], axis=1)
    updates = state["updates"][:n].numpy()
    seen = updates > _UNSEEN
    return Profile(
        names=names,
        steps=state["steps"][:n].numpy().copy(),
        losses=state["losses"][:n].numpy().copy(),
        gramians=state["gramians"][:n].numpy().copy(),
        blocks=blocks,
        block_gramians=grams,
        updates=np.where(seen, updates, np.nan) if seen.any() else None,
    )
