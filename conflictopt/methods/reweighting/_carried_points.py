"""Weights of single collocation points, which stay with their points."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import PointReweighting, State
from ...core.errors import MethodError
from ...core.points import PointSet, PointSets, PointWeights
from ...core.reports import Reporter, unheard
from ...core.step import Spec

_ROWS = 1024
"""Points whose distances to all others are computed at a time."""


@dataclass(frozen=True)
class CarriedPointWeights(PointReweighting):
    """Weights with a memory: each point's own, from step to step.

    When the points change (resampling), every new point takes over what the nearest old point of
    the same residual remembers; points that remain keep theirs, wherever they stand in the batch.
    Without coordinates rows are points, and their number must not change. Only the points of the
    last step are remembered: with minibatches, weights are those of the nearest point of the batch
    before.

    Attributes:
        on: ``"all"`` residuals, or those of ``"equations"`` only; the others keep weight 1.
    """

    on: Literal["all", "equations"] = "all"

    grows = True

    def __post_init__(self) -> None:
        if self.on not in ("all", "equations"):
            raise MethodError(f"expected on='all' or 'equations', found {self.on!r}.")

    @abstractmethod
    def start(self, residuals: Tensor) -> dict[str, Tensor]:
        """What ``[N, m]`` entries remember before their first step: name -> ``[N, m]``."""

    @abstractmethod
    def advance(
        self, found: PointSet, memory: dict[str, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The ``[N, m]`` weights of the squared entries in this step, and what they remember then.

        Args:
            found: residuals, points and the weight of their mean square in the loss.
            memory: of these points.
            step: number of this step of the method, from 1.
        """

    def weighs(self, spec: Spec) -> list[str]:
        named = zip(spec.names, spec.equations, strict=True)
        return [n for n, e in named if e or self.on == "all"]

    def init(self, spec: Spec) -> State:
        return {"age": torch.zeros((), dtype=torch.int64, device="cpu")}

    def weigh(
        self, spec: Spec, sets: PointSets, state: State, report: Reporter = unheard
    ) -> tuple[PointWeights, State]:
        age = state["age"] + 1
        after: State = {"age": age}
        weights: PointWeights = {}
        for name in self.weighs(spec):
            chosen = []
            for i, found in enumerate(sets[name]):
                prefix = f"{name}/{i}/"
                memory = self._memory(prefix, found, state)
                w, memory = self.advance(found, memory, int(age))
                chosen.append(w)
                after.update({prefix + key: value for key, value in memory.items()})
                if found.points is not None:
                    after[prefix + "points"] = _kept(state.get(prefix + "points"), found.points)
            weights[name] = tuple(chosen)
        return weights, after

    def _memory(self, prefix: str, found: PointSet, state: State) -> dict[str, Tensor]:
        fresh = self.start(found.residuals)
        if any(prefix + key not in state for key in fresh):
            return fresh
        known = {key: state[prefix + key].to(found.residuals) for key in fresh}
        before, now = state.get(prefix + "points"), found.points
        if before is not None and now is not None:
            if before.shape[1] != now.shape[1]:
                raise MethodError(
                    f"expected points of '{prefix[:-1]}' in {before.shape[1]} dimensions, as in "
                    f"the steps before, found {now.shape[1]}."
                )
            if before.shape != now.shape or not torch.equal(before, now):
                where = nearest(before, now)
                known = {key: value[where] for key, value in known.items()}
        for key, value in known.items():
            if value.shape != fresh[key].shape:
                raise MethodError(
                    f"expected residuals of shape {list(value.shape)}, [points, entries], for "
                    f"'{prefix[:-1]}' as in the steps before, found {list(fresh[key].shape)}. If "
                    "collocation points change, pass them: "
                    "step(losses, residuals, points={name: points})."
                )
        return known


def _kept(before: Tensor | None, now: Tensor) -> Tensor:
    """A copy of the points now, or the one from before if it is the same."""
    return before if before is not None and torch.equal(before, now) else now.clone()


def nearest(old: Tensor, new: Tensor) -> Tensor:
    """For every ``[N, d]`` new point the index of the nearest ``[M, d]`` old one.

    Distances are relative to the extent of the old points in each coordinate.
    """
    span = old.max(dim=0).values - old.min(dim=0).values
    span = torch.where(span > 0, span, torch.ones_like(span))
    old, new = old / span, new / span
    # not by expanding the square, which would tell equal points apart
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cat(
        [
            torch.cdist(rows, old, compute_mode=mode).argmin(dim=1)
            for rows in torch.split(new, _ROWS)
        ]
    )
