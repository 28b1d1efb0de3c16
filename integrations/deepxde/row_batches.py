"""The losses of a DeepXDE model on rows that are drawn for a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import deepxde as dde
import torch
from torch import Tensor

from conflictopt.auto.random_states import RandomStates
from conflictopt.core.losses import Losses
from conflictopt.core.objective import Objective
from conflictopt.curvature.batch import LEAST

from .apart import obstacle
from .chosen_rows import RowChoice, choose, evaluate_chosen, residual_rows
from .drawable import Drawable, own_points
from .hook import Batch
from .losses import LossReader, ModelObjective
from .pools import Pools

CONSEQUENCE = "every step evaluates the losses on all points, also where it reads few of them"


EVERY = 10
"""Steps by gradients on the same points of a pool: others have to be chosen first."""
_PRIME = 1_000_003
"""Times the seed: generators of other runs are others."""


class RowBatches:
    """Evaluates a model's losses on some points, where its problem allows that.

    Args:
        model: the model.
        reader: of its losses.
        fresh: whether batches are drawn from a pool of fresh points; ``None`` where it can be had,
            and steps can grow to all of it.
        tell: is told which points they are drawn from.

    Attributes:
        pools: the points that batches are drawn from.
    """

    def __init__(
        self, model: Any, reader: LossReader, fresh: bool | None, tell: Callable[[str], None]
    ) -> None:
        self._model, self._reader = model, reader
        self._columns: tuple[int, ...] | None = None
        self._present: tuple[int, int, RowChoice] | None = None
        self.pools = Pools(model, fresh, tell, self._failure)

    def examine(self, objective: ModelObjective, most: int | None) -> None:
        """Find out, once after every compile, whether it does; the log says why not.

        Args:
            objective: on all points.
            most: residuals that a step grows to; ``None`` for all.

        Raises:
            PatchError: fresh points were asked for, and cannot be had.
        """
        residuals = self._in_order(objective.together(residuals=True))
        self._columns = self._columns_of(residuals)
        if not self._reader.settled:
            why = obstacle(self._model)
            if why is None and self._columns is None:
                why = "a residual has not one row for each of its points"
            self._reader.settle(why or self._difference(residuals))
        if self._columns is None or self._reader.obstructed:
            self.pools.refuse()
        else:
            self.pools.allow(sum(r.numel() for r in residuals), most)

    def closure(self, batch: Batch) -> BatchedClosure | None:
        """What a step on rows of this batch evaluates; ``None`` where it takes all points."""
        if self._columns is None or self._reader.obstructed:
            return None
        if batch[0] is not self._model.data.train_x:
            return None
        return BatchedClosure(self, *self.pools.source())

    def redrawn(self, batch: Batch, step: int, seed: int) -> ChosenObjective | None:
        """The losses on as many points as the script has, of the pool; ``None`` without a pool.

        Args:
            batch: of the script's points.
            step: points are others after ``EVERY`` steps.
            seed: of the run.
        """
        found = self.closure(batch)
        if found is None or found.source is found.own:
            return None
        number = step // EVERY
        if self._present is None or self._present[:2] != (number, id(found.source)):
            generator = torch.Generator().manual_seed(_PRIME * seed + number)
            choice = self.choose(found.source, None, generator)
            self._present = number, id(found.source), choice
        return ChosenObjective(self, found.source, self._present[2])

    def choose(self, source: Drawable, rows: int | None, generator: torch.Generator) -> RowChoice:
        """Draw rows; see ``chosen_rows.choose``."""
        assert self._columns is not None
        return choose(source, self._columns, rows, generator)

    def losses(self, source: Drawable, choice: RowChoice) -> Losses:
        """The losses there, with residuals."""
        loss_fn = self._reader.loss_fn
        return self._reader.assembled(*evaluate_chosen(self._model, source, loss_fn, choice))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the losses."""
        groups = self._reader.groups
        assert groups is not None
        return groups.names

    def _in_order(self, losses: Losses) -> list[Tensor]:
        """The residuals behind DeepXDE's entries."""
        groups = self._reader.groups
        assert groups is not None
        by_loss = [iter(losses.residuals[name]) for name in losses.names]
        return [next(by_loss[owner])[0] for owner in groups.members[: len(groups.entries)]]

    def _failure(self, pool: Drawable) -> str | None:
        """Why losses cannot be evaluated on fresh points; ``None`` if they can."""
        before = RandomStates()
        choice = self.choose(pool, LEAST, torch.Generator().manual_seed(0))
        try:
            found = self.losses(pool, choice).values()
        except Exception as error:  # the user's own functions may count on their own points
            return f"evaluated on fresh ones, a loss fails: {type(error).__name__}: {error}"
        finally:
            before.restore()
        return None if all(map(math.isfinite, found)) else "losses on fresh ones are not finite"

    def _columns_of(self, residuals: list[Tensor]) -> tuple[int, ...] | None:
        data = self._model.data
        if not isinstance(data, dde.data.PDE):
            return None
        everything = choose(own_points(data), [1] * len(residuals), None, torch.Generator())
        rows = residual_rows(everything, data, len(residuals) - len(data.bcs))
        pairs = zip(residuals, rows, strict=True)
        if any(r.ndim == 0 or len(r) != len(own) or not len(r) for r, own in pairs):
            return None
        return tuple(r.numel() // len(r) for r in residuals)

    def _difference(self, expected: list[Tensor]) -> str | None:
        """Why residuals on half of the points are others than on all; ``None`` if they are not."""
        data, groups = self._model.data, self._reader.groups
        assert groups is not None
        half = sum(r.numel() for r in expected) // 2
        source = own_points(data)
        choice = self.choose(source, half, torch.Generator().manual_seed(0))
        try:
            found = self._in_order(self.losses(source, choice))
        except Exception as error:  # the user's own functions may count on all rows
            return f"evaluated on some of its rows, a loss fails: {type(error).__name__}: {error}"
        rows = residual_rows(choice, data, len(expected) - len(data.bcs))
        for name, whole, own, index in zip(groups.entries, expected, found, rows, strict=True):
            if _differ(whole.detach(), own.detach(), index):
                return f"residuals of '{name}' depend on more than their own points"
        return None


class BatchedClosure:
    """What a step evaluates: some rows, or all; see ``curvature.batch.Batched``.

    Args:
        rows: of the model.
        own: the script's points.
        source: what batches are drawn from.
    """

    def __init__(self, rows: RowBatches, own: Drawable, source: Drawable) -> None:
        self._rows, self.own, self.source = rows, own, source

    def __call__(self) -> Objective:
        """The losses on all rows of the script."""
        choice = self._rows.choose(self.own, None, torch.Generator())
        return ChosenObjective(self._rows, self.own, choice)

    def batch(self, rows: int | None, generator: torch.Generator) -> Callable[[], Objective]:
        """The losses on about so many rows; the same ones at every call of what is returned."""
        choice = self._rows.choose(self.source, rows, generator)
        return lambda: ChosenObjective(self._rows, self.source, choice)


class ChosenObjective(Objective):
    """The losses of a model on some of the points.

    Args:
        rows: of the model.
        source: the points.
        choice: of these.
    """

    together_because = "its rows were drawn for this step"

    def __init__(self, rows: RowBatches, source: Drawable, choice: RowChoice) -> None:
        self.names = rows.names
        self._rows, self._source, self._choice = rows, source, choice
        self._losses: Losses | None = None

    def together(self, residuals: bool = False) -> Losses:
        if self._losses is None:
            self._losses = self._rows.losses(self._source, self._choice)
        return self._losses

    def apart(self, by_loss: bool, residuals: bool = False) -> Losses | None:
        return None


def _differ(whole: Tensor, own: Tensor, index: Any) -> bool:
    """Whether rows evaluated by themselves are others than rounding would make them."""
    expected = whole[torch.as_tensor(index, device=whole.device)]
    if expected.shape != own.shape:
        return True
    noise = 1000 * torch.finfo(dde.config.real(torch)).eps * (1 + whole.abs().max())
    return bool(((expected - own).abs() > 1e-3 * expected.abs() + noise).any())
