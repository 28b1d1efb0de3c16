"""Levenberg-Marquardt on the residuals of all losses, as a torch optimizer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.choices import changed
from ..core.errors import ConflictOptWarning, LossError
from .batch import Batched, RowBatch, draw
from .jacobian import RowJacobian
from .options import CurvatureOptions
from .residuals import ResidualClosure, check_finite, read
from .system import NormalEquations

_PROBE = 0.1
"""Share of a step at which residuals are evaluated for their curvature along it."""

_LONGEST = 0.75
"""Length of the second-order correction, relative to the step, up to which it is trusted."""


@dataclass(frozen=True)
class CurvatureStep:
    """What a step did.

    Attributes:
        before, after: the loss on the step's rows, ``sum_k w_k mean(r_k ** 2)``.
        damping: lambda of the last trial.
        trials: how many there were.
        taken: whether a trial lowered the loss; else the parameters are as before.
        rows: N, the number of residual entries.
    """

    before: float
    after: float
    damping: float
    trials: int
    taken: bool
    rows: int


class LevenbergMarquardt(torch.optim.Optimizer):
    """Steps ``d = -J^T (J J^T + lambda I)^-1 r`` on the residuals of all losses together."""

    reads_residuals = True

    def __init__(
        self,
        params: nn.Module | Iterable[Any],
        *,
        lr: float = 1.0,
        options: CurvatureOptions | None = None,
        **choices: Any,
    ) -> None:
        self.options = changed(options or CurvatureOptions(), choices)
        given = params.parameters() if isinstance(params, nn.Module) else params
        super().__init__(given, {"lr": lr})
        self.last: CurvatureStep | None = None
        self._jacobian: RowJacobian | None = None
        self._buffer: Tensor | None = None

    @property
    def trained(self) -> list[Tensor]:
        """The parameters that are trained: those that are not frozen."""
        return [p for g in self.param_groups for p in g["params"] if p.requires_grad]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint; the state of another kind of optimizer is left where it is."""
        if any("damping" not in of_one for of_one in state_dict["state"].values()):
            told = "expected the state of a LevenbergMarquardt, found another optimizer's"
            warnings.warn(f"{told}: the damping starts afresh.", ConflictOptWarning, stacklevel=2)
            return
        super().load_state_dict(state_dict)

    @property
    def _memory(self) -> dict[str, Any]:
        memory: dict[str, Any] = self.state[self.param_groups[0]["params"][0]]
        if not memory:
            memory.update(damping=None, steps=0, refused=0)
        return memory

    @torch.no_grad()
    def step(self, closure: ResidualClosure | None = None) -> float:  # type: ignore[override]
        """Take one step.

        Returns:
            The loss on the step's rows before it.
        """
        if closure is None:
            raise LossError("expected step(closure), whose closure returns the residuals by loss.")
        memory, params = self._memory, self.trained
        engine = self._engine(params)
        generator = torch.Generator(device="cpu").manual_seed(
            self.options.seed * 1_000_003 + memory["steps"]
        )
        rows = self._rows(engine.size)
        drawn = isinstance(closure, Batched)
        evaluate = closure.batch(rows, generator) if drawn else closure
        sets = engine.evaluate(evaluate)
        check_finite(sets)
        batch = draw(sets, None if drawn else rows, generator)
        s = batch.residuals(sets)
        jacobian = self._space(len(s), engine.size)
        batch.jacobian(sets, engine, jacobian)
        del sets
        equations = NormalEquations(jacobian)
        self._search(evaluate, batch, equations, s, params)
        memory["steps"] += 1
        assert self.last is not None
        return self.last.before

    def _search(
        self,
        closure: ResidualClosure,
        batch: RowBatch,
        equations: NormalEquations,
        s: Tensor,
        params: list[Tensor],
    ) -> None:
        """Trials with more and more damping, until one lowers the loss."""
        memory, o = self._memory, self.options
        if memory["damping"] is None:
            memory["damping"] = o.damping * equations.scale
        start = [p.detach().clone() for p in params]
        before = after = float(s @ s)
        damping, taken, trial = memory["damping"], False, 0
        while not taken and trial < o.trials:
            trial += 1
            step = equations.solve(s, damping)
            if step is not None and o.geodesic:
                step = self._corrected(step, closure, batch, equations, s, damping, start, params)
            if step is not None:
                self._place(params, start, step)
                moved = self._residuals(closure, batch)
                after = float(moved @ moved)
                taken = math.isfinite(after) and after < before
            if not taken:
                damping *= o.raise_by
        if not taken:
            self._restore(params, start)
            after = before
            memory["refused"] += 1
        elif trial == 1:
            damping = max(damping / o.lower, 1e-16 * equations.scale)
        used = memory["damping"] if trial == 1 else damping
        memory["damping"] = damping
        self.last = CurvatureStep(before, after, used, trial, taken, len(s))

    def _corrected(
        self,
        step: Tensor,
        closure: ResidualClosure,
        batch: RowBatch,
        equations: NormalEquations,
        s: Tensor,
        damping: float,
        start: list[Tensor],
        params: list[Tensor],
    ) -> Tensor:
        """The step plus half the second-order correction along it.

        Source: geodesic acceleration, Transtrum and Sethna 2012 (arXiv 1201.5885), equations 4 to 6.
        """
        self._place(params, start, step, _PROBE)
        ahead = self._residuals(closure, batch)
        # the step is subtracted, so the residuals change by -S step to first order
        curvature = 2 * (ahead - s + _PROBE * equations.along(step)) / _PROBE**2
        second = equations.solve(curvature, damping)
        if second is None or not bool(second.isfinite().all()):
            return step
        if 2 * float(second.norm()) > _LONGEST * float(step.norm()):
            return step
        return step + 0.5 * second

    def _residuals(self, closure: ResidualClosure, batch: RowBatch) -> Tensor:
        with torch.enable_grad():
            sets = read(closure())
        return batch.residuals(sets)

    def _place(
        self, params: list[Tensor], start: list[Tensor], step: Tensor, share: float = 1.0
    ) -> None:
        """``theta = start - share * lr * step``."""
        rates = [g["lr"] for g in self.param_groups for p in g["params"] if p.requires_grad]
        begin = 0
        for p, old, rate in zip(params, start, rates, strict=True):
            part = step[begin : begin + p.numel()].view(p.shape)
            begin += p.numel()
            p.copy_(old - (share * rate * part).to(old.dtype))

    def _restore(self, params: list[Tensor], start: list[Tensor]) -> None:
        for p, old in zip(params, start, strict=True):
            p.copy_(old)

    def _engine(self, params: list[Tensor]) -> RowJacobian:
        known = self._jacobian
        if known is None or list(map(id, known.params)) != list(map(id, params)):
            self._jacobian = known = RowJacobian(params, self.options.engine)
        return known

    def _rows(self, size: int) -> int | None:
        most = int(self.options.memory / (8 * size))
        return most if self.options.rows is None else min(self.options.rows, most)

    def _space(self, rows: int, size: int) -> Tensor:
        """``[rows, size]`` float64; the same memory at every step."""
        if self._buffer is None or self._buffer.numel() < rows * size:
            self._buffer = torch.empty(rows * size, dtype=torch.float64)
        return self._buffer[: rows * size].view(rows, size)
