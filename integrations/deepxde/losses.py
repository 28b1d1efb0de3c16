"""From DeepXDE's losses to named losses with residuals, together or apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import deepxde as dde
import torch
from torch import Tensor

from conflictopt.auto.random_states import RandomStates
from conflictopt.core.errors import MethodError
from conflictopt.core.losses import FIXED, Losses
from conflictopt.core.objective import Objective

from .apart import evaluate_apart, obstacle, parts_of, rows_of, saves_a_sum
from .coupling import Reexamination, coupled_entry
from .groups import Grouping, Groups, group
from .hook import Batch, Evaluation, Hook
from .patch_errors import PatchError, ResidualError


class LossReader:
    """Reads a model's losses, names and groups them.

    Args:
        hook: of the model.
        grouping: how to group.
        tell: is told, in a sentence, why losses are not evaluated apart.

    Attributes:
        groups: how the entries form losses; ``None`` before the first evaluation, because only
            that says how many residuals an equation has.
        loss_fn: the loss function, or one per entry, that the model was compiled with; ``None``
            before the first evaluation after that.
        consequence: what it costs where losses cannot be evaluated on rows of their own.
    """

    consequence = "each per-loss gradient takes a pass through the whole batch"

    def __init__(self, hook: Hook, grouping: Grouping, tell: Callable[[str], None]) -> None:
        self.groups: Groups | None = None
        self._hook = hook
        self._grouping = grouping
        self._tell = tell
        self.loss_fn: Any = None
        self._obstacle: str | None = None
        self._examined = False
        self._again = Reexamination()

    def compiled(self) -> None:
        """The model was compiled: other loss functions, perhaps other losses."""
        self.loss_fn, self._obstacle, self._examined = None, None, False
        self._again = Reexamination()

    def read(self, batch: Batch, residuals: bool = False) -> ModelObjective:
        """The losses of one batch; the first after a compile are evaluated at once.

        Args:
            batch: inputs, targets and auxiliary variables.
            residuals: whether to evaluate now, with residuals.

        Raises:
            PatchError: groups that do not fit the losses.
        """
        objective = ModelObjective(self, batch)
        if self.loss_fn is None:
            before = RandomStates()
            objective.together(residuals)
            if before.moved():
                self.settle("evaluating the losses draws random numbers")
        elif residuals:
            objective.together(residuals)
        return objective

    @property
    def all_points(self) -> Any:
        """The training points of the problem."""
        return getattr(self._hook.model.data, "train_x", None)

    def with_residuals(self, batch: Batch) -> Losses:
        """The losses, each the mean square of its residuals; no random state is moved.

        Raises:
            ResidualError: residuals that cannot be read, or another loss.
        """
        before = RandomStates()
        try:
            losses = self.read(batch, True).together(residuals=True)
        finally:
            before.restore()
        check_mean_square(losses)
        return losses

    def together(self, batch: Batch, residuals: bool) -> Losses:
        """The losses as the plain step computes them."""
        found = self._hook.evaluate(batch, residuals)
        groups = self._grouped(found)
        pairs = self._pairs(groups, found.residuals)
        unstacked = partial(self._terms, found.entries)
        points = self._points(groups, batch, pairs)
        return Losses(
            groups.names, found.vector, groups.members, pairs, points, unstacked=unstacked
        )

    def apart(self, batch: Batch, by_loss: bool, residuals: bool) -> Losses:
        """The losses each from its own rows."""
        groups = self.groups
        assert groups is not None
        found = evaluate_apart(self._hook.model, batch, groups, self.loss_fn, by_loss, residuals)
        if len(found.entries) != len(groups.entries):
            raise PatchError(_changed(len(groups.entries), len(found.entries)))
        terms = self._terms(found.entries)
        penalty = (-1,) * (len(terms) - len(found.entries))
        pairs = self._pairs(groups, found.residuals)
        points = self._points(groups, batch, pairs)
        graphs = (*found.graphs, *penalty)
        return Losses(groups.names, terms, groups.members, pairs, points, graphs)

    def assembled(self, entries: list[Tensor], residuals: list[Tensor]) -> Losses:
        """Unweighted losses and their residuals, as the losses of the model.

        Raises:
            PatchError: another number of them than before.
        """
        groups = self.groups
        assert groups is not None
        if len(entries) != len(groups.entries):
            raise PatchError(_changed(len(groups.entries), len(entries)))
        pairs = self._pairs(groups, residuals)
        return Losses(groups.names, self._terms(entries), groups.members, pairs)

    @property
    def obstructed(self) -> bool:
        """Whether something forbids it, as far as that is known."""
        return self._obstacle is not None

    def _terms(self, entries: list[Tensor]) -> tuple[Tensor, ...]:
        """The entries as the plain step weights and completes them, but not stacked."""
        assert self.groups is not None
        terms = self._hook.weighted(entries)
        return (*terms, self._hook.penalty()) if FIXED in self.groups.members else terms

    @property
    def saves_a_sum(self) -> bool:
        """Whether evaluating apart is cheaper even for one backward pass of the sum."""
        return saves_a_sum(self._hook.model.data)

    def obstacle(self, objective: ModelObjective) -> str | None:
        """Why the losses of this batch cannot be evaluated apart; ``None`` if they can.

        What the model's parts do not show, a comparison does: after every compile, and again as
        training goes on, since a coupling may begin to matter.
        """
        model, points = self._hook.model, objective.batch[0]
        if points is not model.data.train_x:
            return "the batch is not the training points of the problem"
        if self._examined and self._obstacle is not None:
            return self._obstacle
        unknowns = model.external_trainable_variables
        if not self._examined or (objective.fresh and self._again.due(points, unknowns)):
            objective.fresh = False
            objective.release()  # it may be of before a step
            expected = objective.together()
            if not all(map(math.isfinite, expected.numbers)):
                return "they are not finite"
            self._again.examined(points, unknowns)
            why = obstacle(model) or self._difference(objective, expected)
            if why is not None or not self._examined:
                self.settle(why)
        return self._obstacle

    @property
    def settled(self) -> bool:
        """Whether it is known if losses can be evaluated on rows of their own."""
        return self._examined

    def settle(self, why: str | None) -> None:
        """Note why they cannot be; ``None`` if they can."""
        self._obstacle, self._examined = why, True
        if why is not None:
            self._tell(f"{self.consequence}, as {why}.")

    def _difference(self, objective: ModelObjective, expected: Losses) -> str | None:
        objective.release()
        try:
            found = self.apart(objective.batch, by_loss=True, residuals=False).numbers
            coupled = self._coupled(objective.batch)
        except Exception as error:  # the user's own functions may count on all rows
            return f"evaluated on its own rows, a loss fails: {type(error).__name__}: {error}"
        # residuals may differ by rounding, about 100 units in the last place of numbers near 1
        noise = 100 * torch.finfo(dde.config.real(torch)).eps
        pairs = zip(self._names(objective), expected.numbers, found, strict=True)
        for i, (name, a, b) in enumerate(pairs):
            if abs(a - b) > 1e-3 * abs(a) + 2 * noise * abs(a) ** 0.5 + noise**2:
                return (
                    f"evaluated on its own rows, the loss '{name}' is {b:.6g} instead of {a:.6g}: "
                    "something couples the rows of a batch"
                )
            if i == coupled:
                return f"the loss '{name}' depends on points of others: it couples a batch's rows"
        return None

    def _coupled(self, batch: Batch) -> int | None:
        model, groups = self._hook.model, self.groups
        assert groups is not None
        equations = len(groups.entries) - len(model.data.bcs)
        owners = groups.members[equations : equations + len(model.data.bcs)]
        parts = parts_of(model.data, owners, by_loss=True)
        return coupled_entry(model, batch, parts, equations, self.loss_fn)

    def _names(self, objective: ModelObjective) -> list[str]:
        """Per entry that of its loss."""
        assert self.groups is not None
        names = objective.names
        return ["regularisation" if m == FIXED else names[m] for m in self.groups.members]

    def _grouped(self, found: Evaluation) -> Groups:
        count = len(found.vector)
        if self.groups is None or (self.loss_fn is None and len(self.groups.members) != count):
            self.groups = group(self._hook.model, count, self._grouping)
        if len(self.groups.members) != count:
            raise PatchError(_changed(len(self.groups.members), count))
        self.loss_fn = found.loss_fn
        return self.groups

    def _pairs(
        self, groups: Groups, residuals: list[Tensor] | None
    ) -> dict[str, tuple[tuple[Tensor, float], ...]]:
        if residuals is None:
            return {}
        if len(residuals) != len(groups.entries):
            raise ResidualError(
                "this method needs the residual behind every loss; "
                f"{type(self._hook.model.data).__name__} computed {len(groups.entries)} losses "
                f"from {len(residuals)} residuals. {ADVICE}"
            )
        weights = self._hook.loss_weights(len(residuals))
        weighted = list(zip(residuals, weights, groups.members, strict=False))
        return {
            name: tuple((r, w) for r, w, owner in weighted if owner == k)
            for k, name in enumerate(groups.names)
        }

    def _points(
        self, groups: Groups, batch: Batch, pairs: dict[str, tuple[tuple[Tensor, float], ...]]
    ) -> dict[str, tuple[Tensor | None, ...]]:
        """Where the residuals were taken, for problems whose rows are known."""
        data = self._hook.model.data
        if not pairs or not isinstance(data, dde.data.PDE):
            return {}
        equations = len(groups.entries) - len(data.bcs)
        rows = rows_of(data, equations)
        owners = groups.members[: len(groups.entries)]
        return {
            name: tuple(
                _rows(batch[0], where, len(r))
                for where, (r, _) in zip(
                    (w for w, owner in zip(rows, owners, strict=True) if owner == k),
                    pairs[name],
                    strict=True,
                )
            )
            for k, name in enumerate(groups.names)
        }


class ModelObjective(Objective):
    """The losses of a DeepXDE model on one batch.

    Args:
        reader: of the model.
        batch: inputs, targets and auxiliary variables.

    Attributes:
        fresh: whether nobody has asked yet if they can be evaluated apart.
    """

    def __init__(self, reader: LossReader, batch: Batch) -> None:
        self.batch = batch
        self.fresh = True
        self._reader = reader
        self._together: Losses | None = None

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The K loss names."""
        assert self._reader.groups is not None
        return self._reader.groups.names

    @property
    def together_because(self) -> str | None:  # type: ignore[override]
        """Why the losses cannot be evaluated apart; ``None`` if they can."""
        return self._reader.obstacle(self)

    def release(self) -> None:
        """Let go of what was evaluated; needed again, it is evaluated again."""
        self._together = None

    def together(self, residuals: bool = False) -> Losses:
        if self._together is None or (residuals and not self._together.residuals):
            self._together = self._reader.together(self.batch, residuals)
        return self._together

    def apart(self, by_loss: bool, residuals: bool = False) -> Losses | None:
        if self.together_because is not None or not (by_loss or self._reader.saves_a_sum):
            return None
        return self._reader.apart(self.batch, by_loss, residuals)


def _rows(points: Any, where: slice, count: int) -> Tensor | None:
    """The points of one residual; ``None`` if it does not have one row per point."""
    chosen = torch.as_tensor(points[where])
    return chosen if len(chosen) == count else None


ADVICE = (
    "Choose another method, e.g. 'pcgrad' or 'grad_norm'; under auto leave the option "
    "reweighting out."
)


def check_mean_square(losses: Losses) -> None:
    """Check that every loss is the mean square of its residuals.

    Raises:
        ResidualError: it is not; the message names the loss.
    """
    for k in range(losses.count):
        try:
            losses.residual_pairs(k)
        except MethodError as error:
            raise ResidualError(f"{error} {ADVICE}") from error


def _changed(before: int, now: int) -> str:
    return (
        f"expected {before} losses from the model, as in the steps before, found {now}. "
        "If the problem has changed, compile the model again."
    )
