"""A DeepXDE model as a run whose method may be chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conflictopt.adapters import AdapterDesign, attach, attached
from conflictopt.auto.host import HeldOut
from conflictopt.auto.snapshot import Snapshot
from conflictopt.optim.optimizer import MultiLossOptimizer
from conflictopt.selection.design import design_of
from conflictopt.selection.plan import Plan

from .heldout import HeldOutPoints
from .hook import Batch

if TYPE_CHECKING:
    from .patched_model import Patch


class ModelHost:
    """The steps of a patched model, alone or in a race.

    Steps of a race train on the batch of the last step: DeepXDE draws batches and resamples
    outside of the step, and none of that is used up.

    Args:
        patch: of the model.
        held_out: the points of its races.
        seed: of adapters.

    Attributes:
        batch: of the last step.
    """

    def __init__(self, patch: Patch, held_out: HeldOutPoints, seed: int) -> None:
        self._patch, self._held_out, self._seed = patch, held_out, seed
        self.batch: Batch | None = None

    @property
    def optimizer(self) -> MultiLossOptimizer:
        """The optimizer in use."""
        assert self._patch.optimizer is not None
        return self._patch.optimizer

    def attach(self, plan: Plan) -> int:
        """See ``Host``."""
        patch = self._patch
        assert patch.groups is not None
        design = design_of(plan, patch.method.treatment.adapter_design)
        return self.attach_design(patch.groups.names, design)

    def attach_design(self, losses: tuple[str, ...], design: AdapterDesign) -> int:
        """Attach adapters of a design and train them too, if there are none.

        Returns:
            The number of scalars in them; 0 if they were there.
        """
        net = self._patch.model.net
        if attached(net) is not None:
            return 0
        adapters = attach(net, losses, design, seed=self._seed)
        self.optimizer.add_adapters(adapters)
        return sum(adapters.count_parameters().values())

    def advance(self, steps: int) -> None:
        """See ``RacingHost``."""
        assert self.batch is not None
        for _ in range(steps):
            self._patch.take_step(self.batch)

    def snapshot(self) -> Snapshot:
        """See ``RacingHost``."""
        model = self._patch.model
        return Snapshot(self.optimizer, model.net, model.lr_scheduler)

    def held_out(self) -> HeldOut:
        """See ``RacingHost``."""
        assert self._patch.groups is not None
        return self._held_out.losses(self._patch.groups)
