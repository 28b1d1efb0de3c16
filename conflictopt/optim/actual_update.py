"""The wrapped optimizer's actual update, held against the gradients of the losses.

Adam divides by root mean squares and adds momentum: its update can raise a loss although no
gradient conflicts. This looks at what the parameters did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..core.errors import MethodError
from ..core.gradients import GradientSource
from ..core.layout import TRUNK
from .metrics.metric import Metric
from .session import Session

UpdateMode = Literal["trust", "check", "correct", "align"]
_DONE = {"check": "left", "correct": "projected", "align": "aligned"}


def check_update(value: str) -> None:
    """Check the option ``update``.

    Raises:
        MethodError: none of the four.
    """
    if value not in get_args(UpdateMode):
        raise MethodError(
            f"expected update='trust', 'check', 'correct' or 'align', found {value!r}."
        )


@dataclass(frozen=True)
class Watching:
    """What is done with updates.

    Attributes:
        mode: see ``StepOptions.update``.
        momentum_share, scale_share: how far the optimizer's state follows an aligned one; ``None``
            for what is usual with it.
    """

    mode: UpdateMode = "trust"
    momentum_share: float | None = None
    scale_share: float | None = None


@contextmanager
def watched(
    session: Session, optimizer: torch.optim.Optimizer, watching: Watching
) -> Iterator[None]:
    """Around the wrapped optimizer's step: examine the update, if wished."""
    update = ActualUpdate.begin(session, optimizer, watching)
    yield
    if update is not None:
        update.end(session)


class ActualUpdate:
    """One step's update of the trunk.

    Args:
        source: the losses of this step; their rows must have been read.
        optimizer: that will step, by the gradients that the parameters have.
        watching: what is done with its update.
    """

    def __init__(
        self, source: GradientSource, optimizer: torch.optim.Optimizer, watching: Watching
    ) -> None:
        layout = source.layout
        columns = layout.columns(TRUNK)
        self._names: Sequence[str] = source.objective.names
        self._watching = watching
        self._rows = source.rows()[:, columns]
        self._gramian = source.gramian(TRUNK)
        self._norms = self._gramian.diagonal().sqrt()
        self._trunk = layout.params[: sum(1 for s in layout.offsets if s < columns.stop)]
        self._before = self._flat()
        aligns = watching.mode == "align"
        self._metric = Metric(optimizer, self._trunk) if aligns else None
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._trunk]
        # downhill, so that a loss that it raises has a positive rate, as of an update
        self._direction = -torch.cat([g.reshape(-1) for g in grads])

    @classmethod
    def begin(
        cls, session: Session, optimizer: torch.optim.Optimizer, watching: Watching
    ) -> ActualUpdate | None:
        """Before the wrapped optimizer steps; ``None`` where no gradients were kept for it."""
        source = session.source
        return None if source is None else cls(source, optimizer, watching)

    def end(self, session: Session) -> None:
        """After it has stepped: count conflicts, report, and change the update if wished."""
        mode, cosines = self._watching.mode, self._cosines(self._moved())
        session.saw_update(max(cosines.values(), default=0.0))
        proposed = taken = self._raised(cosines)
        if proposed and mode != "trust":
            session.note("update", self._sentence(proposed))
        if proposed and mode in ("correct", "align"):
            self._project()
            taken = self._raised(self._cosines(self._moved()))
        session.conflicts = session.conflicts.counted(
            gradients=self._opposed(),
            direction=bool(self._raised(self._cosines(self._direction))),
            proposed=bool(proposed),
            taken=bool(taken),
        )

    def _flat(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self._trunk])

    def _moved(self) -> Tensor:
        return self._flat() - self._before

    def _opposed(self) -> bool:
        """Whether two gradients point against each other."""
        active = self._norms > 0
        norms = self._norms[active]
        cosines = self._gramian[active][:, active] / norms[:, None] / norms[None, :]
        return bool((cosines < -_rounding(self._rows)).any())

    def _cosines(self, update: Tensor) -> dict[str, float]:
        """Of an update with the gradients of the losses that have one; nothing if it is 0."""
        size = float(torch.linalg.vector_norm(update, dtype=torch.float64))
        if size == 0:
            return {}
        rates = (self._rows @ update).cpu().double()
        cosines = (rates / self._norms.clamp_min(torch.finfo(torch.float64).tiny) / size).tolist()
        pairs = zip(self._names, cosines, self._norms.tolist(), strict=True)
        return {name: c for name, c, norm in pairs if norm > 0}

    def _raised(self, cosines: dict[str, float]) -> dict[str, float]:
        """Those of the losses that an update raises to first order."""
        least = _rounding(self._rows)  # parameters are rounded when they are written
        return {name: c for name, c in cosines.items() if c > least}

    def _sentence(self, raised: dict[str, float]) -> str:
        listed = ", ".join(f"'{n}' (cosine {c:.2g})" for n, c in raised.items())
        done = _DONE[self._watching.mode]
        return f"the optimizer's update would raise {listed} to first order; it was {done}."

    def _project(self) -> None:
        """Go back to the nearest update that raises no loss, in the metric that is wished."""
        metric, watching = self._metric, self._watching
        active = (self._norms > 0).to(self._rows.device)
        rows = self._rows[active].double()
        moves = rows if metric is None else metric.moves(rows)
        c = _multipliers(moves @ rows.T, rows @ self._moved().double())
        back = (c @ moves).to(self._rows.dtype)
        with torch.no_grad():
            start = 0
            for p in self._trunk:
                p.sub_(back[start : start + p.numel()].view_as(p))
                start += p.numel()
            if metric is not None:
                metric.follow(c @ rows, watching.momentum_share, watching.scale_share)


def _multipliers(gramian: Tensor, rates: Tensor) -> Tensor:
    """``c >= 0`` of the gradients that are taken off an update, in a metric's Gramian and rates.

    Rows that the optimizer does not move at all have no say.
    """
    from ..methods.cone import nearest

    sizes = gramian.diagonal().sqrt()
    moved = sizes > 0
    c = torch.zeros_like(rates)
    if bool(moved.any()):
        kept = sizes[moved]
        unit = gramian[moved][:, moved] / kept[:, None] / kept[None, :]
        found = nearest(unit.cpu().numpy(), (-rates[moved] / kept).cpu().numpy())
        c[moved] = torch.from_numpy(found).to(c) / kept
    return c


def _rounding(like: Tensor) -> float:
    """Cosine below which a conflict is rounding."""
    return float(torch.finfo(like.dtype).eps ** 0.5)
