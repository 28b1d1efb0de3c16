"""The parameters that did best along a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .problem import StepProblem

KEY = "best_values"
"""Under which each parameter's state has its value then."""


class BestIterate:
    """Keeps the parameters that did best on rows that they had not been fitted to.

    Late in a run the error jitters, since each step fits its own rows. So where a
    step begins, its rows, which are fresh, judge between the parameters and the best so far: both
    losses are of the same rows and weights, and nothing is decided by the luck of a draw, which
    takes the lowest of many losses on rows that stay.

    Args:
        state: of the optimizer, by parameter.
        params: that are trained.
    """

    def __init__(self, state: Mapping[Tensor, dict[str, Any]], params: Sequence[Tensor]) -> None:
        self._state, self._params = state, params

    @property
    def values(self) -> list[Tensor] | None:
        """Of the parameters; ``None`` before the first step."""
        found = [self._state[p].get(KEY) for p in self._params]
        return None if any(v is None for v in found) else found  # type: ignore[return-value]

    def judge(self, problem: StepProblem, loss: float) -> None:
        """Keep the parameters where the step begins, unless the best so far do better on its rows.

        Args:
            problem: of the step.
            loss: there.
        """
        if not self.beat(problem, loss):
            for p, value in zip(self._params, problem.start, strict=True):
                self._state[p][KEY] = value

    def beat(self, problem: StepProblem, loss: float) -> bool:
        """Whether the best so far do better on the rows of a step than where it begins."""
        best = self.values
        if best is None:
            return False
        there = problem.at_values(best)
        return not loss <= float(there @ there)

    @torch.no_grad()
    def load(self) -> None:
        """Give the parameters the values that did best."""
        for p, value in zip(self._params, self.values or (), strict=False):
            p.copy_(value)
