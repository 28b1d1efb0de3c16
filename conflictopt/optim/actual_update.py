"""The wrapped optimizer's actual update, held against the gradients of the losses.

Adam divides by root mean squares and adds momentum: its update can raise a loss although no
gradient conflicts. This looks at what the parameters did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import MethodError
from ..core.gradients import GradientSource
from ..core.layout import TRUNK
from .session import Session

UpdateMode = Literal["trust", "check", "correct"]


def check_update(value: str) -> None:
    """Check the option ``update``.

    Raises:
        MethodError: not one of the three.
    """
    if value not in ("trust", "check", "correct"):
        raise MethodError(f"expected update='trust', 'check' or 'correct', found {value!r}.")


@contextmanager
def watched(session: Session, mode: UpdateMode) -> Iterator[None]:
    """Around the wrapped optimizer's step: examine the update, if wished."""
    update = ActualUpdate.begin(session, mode)
    yield
    if update is not None:
        update.end(session)


class ActualUpdate:
    """One step's update of the trunk.

    Args:
        source: the losses of this step; their rows must have been read.
        mode: ``"check"`` or ``"correct"``.
    """

    def __init__(self, source: GradientSource, mode: UpdateMode) -> None:
        layout = source.layout
        columns = layout.columns(TRUNK)
        self._names: Sequence[str] = source.objective.names
        self._correct = mode == "correct"
        self._rows = source.rows()[:, columns]
        self._gramian = source.gramian(TRUNK)
        self._trunk = layout.params[: sum(1 for s in layout.offsets if s < columns.stop)]
        self._before = self._flat()

    @classmethod
    def begin(cls, session: Session, mode: UpdateMode) -> ActualUpdate | None:
        """Before the wrapped optimizer steps; ``None`` if its update is trusted."""
        source = session.source
        return None if mode == "trust" or source is None else cls(source, mode)

    def end(self, session: Session) -> None:
        """After it has stepped: report, and correct if wished."""
        message = self.examine()
        if message is not None:
            session.note("update", message)

    def _flat(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self._trunk])

    def examine(self) -> str | None:
        """Say which losses the update raises to first order, and undo that if wished.

        The correction is the shortest: the update is projected on the dual cone of the gradients.

        Returns:
            A sentence, or ``None`` if no loss is raised.
        """
        moved = self._flat() - self._before
        size = float(torch.linalg.vector_norm(moved, dtype=torch.float64))
        norms = self._gramian.diagonal().sqrt()
        active = norms > 0
        if size == 0 or not bool(active.any()):
            return None
        rates = (self._rows[active.to(moved.device)] @ moved).cpu().double()
        cosines = rates / norms[active] / size
        # parameters are rounded when they are written
        if float(cosines.max()) <= torch.finfo(moved.dtype).eps ** 0.5:
            return None
        names = [n for n, a in zip(self._names, active.tolist(), strict=True) if a]
        raised = zip(names, cosines.tolist(), strict=True)
        listed = ", ".join(f"'{n}' (cosine {c:.2g})" for n, c in raised if c > 0)
        if self._correct:
            self._project(active, rates, norms[active])
        done = "it was projected" if self._correct else "it was left"
        return f"the optimizer's update would raise {listed} to first order; {done}."

    def _project(self, active: Tensor, rates: Tensor, norms: Tensor) -> None:
        from ..methods.cone import nearest

        unit = self._gramian[active][:, active] / norms[:, None] / norms[None, :]
        along = (-rates / norms).numpy()
        c = torch.zeros(len(active), dtype=torch.float64)
        c[active] = torch.from_numpy(nearest(unit.numpy(), along)) / norms
        back = c.to(self._rows) @ self._rows
        with torch.no_grad():
            start = 0
            for p in self._trunk:
                p.sub_(back[start : start + p.numel()].view_as(p))
                start += p.numel()
