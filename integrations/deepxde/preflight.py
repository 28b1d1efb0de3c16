"""The losses of a step, and what is found out about them before the first after a compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from conflictopt.adapters import Adapters
from conflictopt.auto.controller import Controller
from conflictopt.auto.random_states import RandomStates
from conflictopt.core.aggregator import READS_RESIDUALS, Needs
from conflictopt.core.objective import Objective
from conflictopt.optim.compatibility import reads_residuals
from conflictopt.optim.guarded_soap import GuardedSOAP
from conflictopt.optim.optimizer import MultiLossOptimizer

from .groups import Groups
from .hook import Batch
from .losses import ADVICE, LossReader, ModelObjective, check_mean_square
from .patch_errors import PatchError, ResidualError
from .row_batches import CONSEQUENCE, RowBatches


class Examined(Protocol):
    """What is examined: a ``Patch``."""

    controller: Controller
    optimizer: MultiLossOptimizer | None

    @property
    def adapters(self) -> Adapters | None: ...
    def attach_own(self, losses: tuple[str, ...]) -> None:
        """Attach the adapters of a fixed method, one for each of these losses."""

    def examined(self) -> None:
        """The losses were looked at, before the first step after a compile."""


class Preflight:
    """Reads the losses of a patched model's steps.

    A method that reads residuals, or a plan that may, should fail before the first step rather
    than after the profile.

    Args:
        run: of the model.
        reader: of its losses.
        rows: evaluates them on some of their rows.
    """

    def __init__(self, run: Examined, reader: LossReader, rows: RowBatches) -> None:
        self._run, self._reader, self._rows = run, reader, rows
        self._checked = self._pooled = False

    def compiled(self) -> None:
        """The model was compiled: its losses are looked at again."""
        self._checked = self._pooled = False
        self._reader.compiled()
        told = CONSEQUENCE if self._by_residuals else LossReader.consequence
        self._reader.consequence = told

    @property
    def _by_residuals(self) -> bool:
        """Whether steps are made of residuals, rather than of gradients."""
        return reads_residuals(self._stepping)

    @property
    def _stepping(self) -> torch.optim.Optimizer:
        """What takes the steps."""
        stage = self._run.controller.stage
        in_stage = stage is not None and self._optimizer.in_stage
        return stage.run.inner if stage is not None and in_stage else self._optimizer.inner

    def closure(self, batch: Batch) -> Callable[[], Objective]:
        """What a step on a batch evaluates, as often as its optimizer calls it.

        Raises:
            ResidualError, PatchError: see ``objective``.
        """
        inner = self._optimizer.inner
        if isinstance(inner, GuardedSOAP) and self._rows.pools.asked:
            return lambda: self._of_pool(batch)
        if not self._by_residuals:
            return lambda: self.objective(batch)
        if not self._checked:
            self._rows.examine(self.objective(batch), _most_rows(self._stepping))
            self._run.examined()
        return self._rows.closure(batch) or (lambda: self.objective(batch))

    def _of_pool(self, batch: Batch) -> Objective:
        """The losses on points of a pool.

        Raises:
            PatchError: no pool can be had, or the method weights points.
        """
        if not self._pooled:
            method = self._optimizer.aggregator
            if method.needs & Needs.POINTS:
                raise PatchError(
                    f"expected a method that weights losses with fresh_points=True, found "
                    f"{method.label}, whose weights belong to single points. Leave one of both out."
                )
            before = RandomStates()
            try:
                self._rows.examine(self._examined(batch, True), None)
            except ResidualError as error:
                why = str(error).removesuffix(ADVICE).rstrip()
                raise PatchError(f"fresh_points=True reads residuals: {why}") from error
            finally:
                before.restore()
            self._pooled = True
        seed = self._run.controller.options.seed
        drawn = self._rows.redrawn(batch, self._optimizer.completed, seed)
        if drawn is None:
            raise PatchError(
                "expected all training points in a batch with fresh_points=True, found others. "
                "Leave fresh_points out."
            )
        return drawn

    def objective(self, batch: Batch) -> ModelObjective:
        """The losses of a batch.

        Raises:
            ResidualError: losses that are no mean squares, where they have to be.
            PatchError: groups that do not fit the losses.
        """
        if self._checked or not self._wants_residuals():
            return self._examined(batch, False)
        before = RandomStates()
        try:
            return self._examined(batch, True)
        except ResidualError as error:
            if not self._goes_without_residuals(error):
                raise
        before.restore()
        self._checked = True
        return self._examined(batch, False)

    @property
    def _optimizer(self) -> MultiLossOptimizer:
        assert self._run.optimizer is not None
        return self._run.optimizer

    def _examined(self, batch: Batch, wanted: bool) -> ModelObjective:
        """The losses; with residuals, if they are wanted, and these are what they should be."""
        known = self._reader.groups
        objective = self._reader.read(batch, wanted)
        met = self._reader.groups
        if met is not known and met is not None and self._meet(met):
            objective = self._reader.read(batch, wanted)
        own = self._by_residuals or self._optimizer.aggregator.needs & READS_RESIDUALS
        # one loss needs no plan
        if wanted and (own or objective.count > 1):
            check_mean_square(objective.together(residuals=True))
        self._checked = self._checked or wanted
        return objective

    def _meet(self, groups: Groups) -> bool:
        """The names of the losses are known now; whether the network has adapters for them now."""
        session = self._optimizer.session
        session.names = session.names or groups.names
        session.equations = groups.equations or None
        attaches = self._run.controller.method.adapters and self._run.adapters is None
        if attaches:
            self._run.attach_own(groups.names)
        return attaches

    def _wants_residuals(self) -> bool:
        """Whether the method, or one that may be planned, reads residuals."""
        if self._by_residuals or self._optimizer.aggregator.needs & READS_RESIDUALS:
            return True
        controller = self._run.controller
        undecided = controller.method.records and controller.diagnosis is None
        return undecided and controller.method.policy.reads_residuals

    def _goes_without_residuals(self, error: ResidualError) -> bool:
        """Have plans that read none, where the user has not chosen the reweighting."""
        if self._by_residuals or self._optimizer.aggregator.needs & READS_RESIDUALS:
            return False
        why = str(error).removesuffix(ADVICE).rstrip()
        return self._run.controller.without_residuals(why, self._optimizer.completed)


def _most_rows(inner: Any) -> int | None:
    """How many residuals the steps of an optimizer grow to; ``None`` for all."""
    options = inner.options
    return None if options.rows is None else max(options.rows, options.most_rows)
