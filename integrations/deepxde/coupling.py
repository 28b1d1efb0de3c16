"""Whether a loss depends on rows that are not its own, which evaluating it on these would change.

A mean over the batch in the equation (a conserved mass), a condition on all points, a network that
normalises by its batch: on fewer rows they are another loss. Its value on these rows alone does not
show it while the coupling is small, or multiplied by an unknown that starts at 0. Moving the points
of all other rows does, with the unknowns at other values: not a digit may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .apart import Part, copied, losses_of_view
from .hook import Batch

_SHIFT = 0.37
"""By how much unknowns are moved, of their size and of 1: no value stays."""
_ROUNDINGS = 10


def coupled_entry(
    model: Any, batch: Batch, parts: Sequence[Part], equations: int, loss_fn: Any
) -> int | None:
    """The index of a loss that depends on points outside of its part; ``None`` if none does.

    Args:
        model: the model.
        batch: all training points.
        parts: of these; see ``apart.parts_of``.
        equations: number of losses of the equation, which come first.
        loss_fn: the loss function, or one per entry.
    """
    owner = [p for p in parts if p.is_equation for _ in range(equations)]
    owner += [p for p in parts for _ in p.conditions]
    for unknowns in (model.external_trainable_variables, ()):
        with moved(unknowns), torch.enable_grad():
            usual = _values(model, batch, loss_fn)
            if unknowns and not bool(usual.isfinite().all()):
                continue  # not defined there
            near = _ROUNDINGS * torch.finfo(usual.dtype).eps * usual.abs()
            for part in parts:
                elsewhere = (_others_moved(batch[0], part.rows), *batch[1:])
                differs = (_values(model, elsewhere, loss_fn) - usual).abs() > near
                for i, other in enumerate(differs.tolist()):
                    if other and owner[i] is part:
                        return i
            return None
    return None


def _values(model: Any, batch: Batch, loss_fn: Any) -> Tensor:
    losses = losses_of_view(model, copied(model.data), batch, slice(None), loss_fn)
    return torch.stack([loss.detach() for loss in losses])


def _others_moved(points: Any, own: slice) -> Any:
    """The points with all rows but some between two of them, where the domain is likely to be."""
    found = points.copy()
    outside = np.ones(len(points), dtype=bool)
    outside[own] = False
    others = points[outside]
    if len(others):
        chance = np.random.default_rng(0)  # two that lie symmetrically must not do so afterwards
        far, share = chance.permutation(others), chance.uniform(0.1, 0.9, (len(others), 1))
        nudge = _NUDGE * chance.uniform(0.5, 1.0, others.shape) * np.ptp(points, axis=0)
        found[outside] = share * others + (1 - share) * far + nudge
    return found.astype(points.dtype)


_NUDGE = 1e-2
"""Of the points' extent, since two of them may be the same."""


@contextmanager
def moved(unknowns: Sequence[Tensor]) -> Iterator[None]:
    """Unknowns away from values, such as 0, at which they switch a coupling off."""
    kept = [u.data for u in unknowns]
    for u in unknowns:
        u.data = u.data + _SHIFT * (1 + u.data.abs())
    try:
        yield
    finally:
        for u, value in zip(unknowns, kept, strict=True):
            u.data = value


class Reexamination:
    """When to look again: something may begin to couple rows as training goes on.

    After 1, 10, 100, ... steps; with other points; when an unknown has changed much.
    """

    def __init__(self) -> None:
        self._steps, self._next, self._last = 0, 1, 0
        self._points: Any = None
        self._unknowns: list[Tensor] = []

    def due(self, points: Any, unknowns: Sequence[Tensor]) -> bool:
        """Whether now; called once for each step.

        Args:
            points: the training points.
            unknowns: the unknowns of the problem.
        """
        self._steps += 1
        if self._steps >= self._next:
            self._next *= 10
            return True
        if self._steps - self._last < _PAUSE:
            return False
        return points is not self._points or any(map(_changed, self._unknowns, unknowns))

    def examined(self, points: Any, unknowns: Sequence[Tensor]) -> None:
        """It was looked at."""
        self._last, self._points = self._steps, points
        self._unknowns = [u.detach().clone() for u in unknowns]


_PAUSE = 50
"""Steps between two examinations, which cost some three steps."""
_MUCH = 0.5


def _changed(before: Tensor, now: Tensor) -> bool:
    return bool(((now.detach() - before).abs() > _MUCH * before.abs() + 1e-3).any())
