"""The losses of a step, and what is found out about them before the first after a compile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conflictopt.auto.random_states import RandomStates
from conflictopt.core.aggregator import READS_RESIDUALS
from conflictopt.optim.optimizer import MultiLossOptimizer

from .chosen_method import Method
from .errors import ResidualError
from .groups import Groups
from .heldout import HeldOutPoints
from .hook import Batch
from .losses import ADVICE, LossReader, ModelObjective, check_mean_square

if TYPE_CHECKING:
    from .patched_model import Patch


class Examination:
    """Reads the losses of a patched model's steps.

    A method that reads residuals, or a plan that may, should fail before the first step rather
    than after the profile.

    Args:
        patch: of the model.
        reader: of its losses.
        held_out: the points of its races.
    """

    def __init__(self, patch: Patch, reader: LossReader, held_out: HeldOutPoints) -> None:
        self._patch, self._reader, self._held_out = patch, reader, held_out
        self._checked = False

    def compiled(self) -> None:
        """The model was compiled: its losses are looked at again."""
        self._checked = False
        self._reader.compiled()

    def objective(self, batch: Batch) -> ModelObjective:
        """The losses of a batch.

        Raises:
            ResidualError: losses that are no mean squares, where they have to be.
            PatchError: groups that do not fit the losses, or a race without points to draw.
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
    def _method(self) -> Method:
        return self._patch.method

    @property
    def _optimizer(self) -> MultiLossOptimizer:
        assert self._patch.optimizer is not None
        return self._patch.optimizer

    def _examined(self, batch: Batch, wanted: bool) -> ModelObjective:
        """The losses; with residuals, if they are wanted, and these are what they should be."""
        known = self._reader.groups
        objective = self._reader.read(batch, wanted)
        met = self._reader.groups
        if met is not known and met is not None and self._meet(met):
            objective = self._reader.read(batch, wanted)
        own = self._optimizer.aggregator.needs & READS_RESIDUALS
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
        attaches = self._method.adapters and self._patch.adapters is None
        if attaches:
            self._patch.attach(groups.names, self._method.treatment.adapter_design)
        if self._method.course.look == "race":
            self._held_out.check()
        return attaches

    def _wants_residuals(self) -> bool:
        """Whether the method, or one that may be planned, reads residuals."""
        if self._optimizer.aggregator.needs & READS_RESIDUALS:
            return True
        again = self._method.course.rediagnose_every is not None
        undecided = self._method.records and (again or self._patch.diagnosis is None)
        treatment = self._method.treatment
        planned = [treatment.method(p) for p in treatment.plans("")] if undecided else []
        return any(method.needs & READS_RESIDUALS for method in planned)

    def _goes_without_residuals(self, error: ResidualError) -> bool:
        """Have plans that read none, where the user has not chosen the reweighting."""
        treatment = self._method.treatment
        other = treatment.without_residuals()
        if self._optimizer.aggregator.needs & READS_RESIDUALS or other is None:
            return False
        self._patch.note(
            "plans have surgery alone in place of a reweighting that reads residuals, since: "
            f"{str(error).removesuffix(ADVICE).rstrip()}"
        )
        self._patch.method = replace(self._method, treatment=other)
        return True
