"""From DeepXDE's loss vector to named losses with residuals."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from conflictopt.core.errors import MethodError
from conflictopt.core.losses import Losses

from .attach import Hook
from .errors import PatchError
from .groups import Grouping, Groups, group


class LossReader:
    """Evaluates a model's losses as the plain step does, then groups and names them.

    Attributes:
        groups: how the vector's entries form losses; ``None`` before the first evaluation,
            because only the vector says how many residuals an equation has.
    """

    def __init__(self, hook: Hook, grouping: Grouping) -> None:
        self.groups: Groups | None = None
        self._hook = hook
        self._grouping = grouping

    def read(self, batch: tuple[Any, Any, Any], with_residuals: bool) -> Losses:
        """The losses of one batch ``(inputs, targets, auxiliary)``.

        Raises:
            PatchError: groups that do not fit the losses; residuals asked for but not there.
        """
        if not with_residuals:
            vector, residuals = self._hook.loss_vector(*batch), None
        else:
            with self._hook.recorded_residuals() as residuals:
                vector = self._hook.loss_vector(*batch)
        if self.groups is None or len(self.groups.members) != len(vector):
            self.groups = group(self._hook.model, len(vector), self._grouping)
        pairs = {} if residuals is None else self._pairs(self.groups, residuals)
        return Losses(self.groups.names, vector, self.groups.members, pairs)

    def _pairs(
        self, groups: Groups, residuals: list[Tensor]
    ) -> dict[str, tuple[tuple[Tensor, float], ...]]:
        if len(residuals) != len(groups.entries):
            raise PatchError(
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


ADVICE = (
    "Choose another method, e.g. 'lr_annealing' (under auto: reweighting='lr_annealing'; on the "
    "command line: --option reweighting=lr_annealing)."
)


def check_mean_square(losses: Losses) -> None:
    """Check that every loss is the mean square of its residuals.

    Raises:
        PatchError: it is not; the message names the loss.
    """
    for k in range(losses.count):
        try:
            losses.residual_pairs(k)
        except MethodError as error:
            raise PatchError(f"{error} {ADVICE}") from error
