"""Steps whose losses or gradients are infinite or NaN: refused, skipped, or left to a scaler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import NonFiniteError
from ..core.graphs import walk
from ..core.leaves import outside
from ..core.losses import Losses
from .guarded_soap import retreated

Reaction = Literal["raise", "skip"]
MAX_SKIPS = 100
"""Steps that may be skipped in a row before ``on_nonfinite="skip"`` gives up and raises."""


@dataclass
class NonFiniteSteps:
    """What is done with them.

    Attributes:
        reaction: to a step that cannot be taken.
        skipped: number of skipped steps.
        in_a_row: of those, the last ones without a step between.
        skips: whether the step in progress will be skipped.
        waiting: why the step in progress cannot be taken, if ``backward`` found that. Gradients
            are NaN until the step, as after ``loss.backward()``; a gradient scaler leaves it out.
    """

    reaction: Reaction
    skipped: int = 0
    in_a_row: int = 0
    skips: bool = False
    waiting: NonFiniteError | None = None

    @property
    def spoilt(self) -> bool:
        """Whether the step in progress cannot be taken."""
        return self.skips or self.waiting is not None

    def settle(self, error: NonFiniteError, optimizer: torch.optim.Optimizer) -> str | None:
        """Skip the step, or raise.

        Returns:
            What the user is told, if the optimizer falls back to another.

        Raises:
            NonFiniteError: the one given.
        """
        told = None
        if self.reaction != "skip" or self.in_a_row >= MAX_SKIPS:
            told = retreated(optimizer)
            if told is None:
                raise error
        self.skips = True
        return told

    def wait(self, error: NonFiniteError, params: list[Tensor], losses: Losses) -> None:
        """Leave the decision to the step, or to whoever leaves it out.

        Leaves that the optimizer does not hold are NaN too: a scaler looks at those of theirs.
        """
        # not the frames, which hold the graph
        self.waiting = error.with_traceback(None)
        error.__context__ = error.__cause__ = None
        for p in (*params, *outside(walk(*losses.scalars())[1], params)):
            if p.requires_grad:
                p.grad = torch.full_like(p, torch.nan)

    def is_stale(self, params: list[Tensor]) -> bool:
        """Whether the gradients of an earlier ``backward`` are gone: its step was left out."""
        grads = [p.grad for p in params if p.grad is not None]
        return not grads or (
            self.waiting is not None and not any(bool(g.isnan().any()) for g in grads)
        )

    def between_steps(self) -> NonFiniteSteps:
        """A copy without the step in progress."""
        return replace(self, skips=False, waiting=None)

    def forget(self) -> None:
        """No step is in progress."""
        self.skips, self.waiting = False, None

    def finish(self) -> bool:
        """The step ends; whether it was taken."""
        if self.skips:
            self.skipped += 1
            self.in_a_row += 1
            self.skips = False
            return False
        self.in_a_row = 0
        return True


class SkippingRun:
    """A run that may skip steps.

    Attributes:
        nonfinite: what is done with infinite and NaN losses and gradients.
    """

    nonfinite: NonFiniteSteps

    @property
    def on_nonfinite(self) -> Reaction:
        """What is done on an infinite or NaN loss or gradient."""
        return self.nonfinite.reaction

    @on_nonfinite.setter
    def on_nonfinite(self, reaction: Reaction) -> None:
        self.nonfinite.reaction = reaction

    @property
    def skipped(self) -> int:
        """Number of skipped steps."""
        return self.nonfinite.skipped

    @skipped.setter
    def skipped(self, count: int) -> None:
        self.nonfinite.skipped = count
