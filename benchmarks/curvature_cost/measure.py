"""Rows against a gradient, and a step of Levenberg-Marquardt against one of Adam."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from conflictopt.curvature.batch import draw
from conflictopt.curvature.jacobian import RowJacobian
from conflictopt.curvature.optimizer import LevenbergMarquardt
from conflictopt.curvature.row_matrix import RowMatrix
from conflictopt.curvature.system import NormalEquations
from conflictopt.lab.problems.problem import derivatives_of
from conflictopt.lab.problems.suite import load_suite

from ..step_cost.memory import peak_bytes
from ..step_cost.timing import interleave, samples, spread
from .problems import CurvatureCase

Record = dict[str, Any]

DAMPING = 1e-3
"""Relative to the mean diagonal of the Gram matrix."""


class Pieces:
    """The parts of a step, each of which can be timed on its own.

    Args:
        case: network and points.
    """

    def __init__(self, case: CurvatureCase) -> None:
        self.case = case
        self.engine = RowJacobian(list(case.net.parameters()))
        self._memory = torch.empty(0, dtype=torch.float64)
        self.matrix = self.rows()
        self.equations = NormalEquations(self.matrix)
        self.side = torch.linspace(-1, 1, case.rows, dtype=torch.float64)

    def evaluation(self) -> None:
        """Residuals whose rows can be differentiated."""
        self.engine.evaluate(self.case.residuals)

    def rows(self) -> RowMatrix:
        """Residuals and the rows of their Jacobian."""
        sets = self.engine.evaluate(self.case.residuals)
        return draw(sets, None, torch.Generator()).jacobian(sets, self.engine, self._space)

    def gram(self) -> None:
        """The Gram matrix."""
        NormalEquations(self.matrix)

    def cholesky(self) -> Tensor:
        """Two solutions with one factorisation that is not known yet."""
        damping = DAMPING * self.equations.scale
        self.equations.solve(self.side, damping * (1 + 1e-9))
        found = self.equations.solve(self.side, damping)
        assert found is not None
        return found

    def trial(self) -> None:
        """Two evaluations of the residuals, at a trial point and for the correction."""
        self.case.residuals()
        self.case.residuals()

    def gradient(self) -> None:
        """Residuals and one gradient of their loss."""
        torch.autograd.grad(self.case.loss(), list(self.case.net.parameters()))

    def _space(self, rows: int, columns: int) -> Tensor:
        if self._memory.numel() < rows * columns:
            self._memory = torch.empty(rows * columns, dtype=torch.float64)
        return self._memory[: rows * columns].view(rows, columns)


def rows_record(case: CurvatureCase, seconds: float) -> Record:
    """Rows beside a gradient of the same losses; ``peak_bytes`` of a first evaluation with rows."""
    peak = peak_bytes(lambda: Pieces(case).rows()).later
    pieces = Pieces(case)
    timed = {"rows": (pieces.rows, 2)}
    found = samples(interleave(pieces.gradient, timed, seconds)["rows"], refresh=1)
    return {**_size(case), **_spreads(found), "peak_bytes": peak}


def step_record(case: CurvatureCase, seconds: float) -> Record:
    """A whole step beside one of Adam on the same rows, and what its parts take."""
    adam = torch.optim.Adam(case.net.parameters(), lr=1e-6)
    curvature = LevenbergMarquardt(case.net, rows=None)

    def plain() -> None:
        adam.zero_grad()
        case.loss().backward()
        adam.step()

    pieces = Pieces(case)
    parts: dict[str, Callable[[], object]] = {
        "step": partial(curvature.step, case.residuals),
        "evaluation": pieces.evaluation,
        "evaluation and rows": pieces.rows,
        "gram": pieces.gram,
        "cholesky, two factorisations": pieces.cholesky,
        "one trial": pieces.trial,
    }
    blocks = interleave(plain, {name: (part, 1) for name, part in parts.items()}, seconds)
    found = {name: _spreads(samples(b, refresh=1)) for name, b in blocks.items()}
    return {**_size(case), "parts": found}


def taylor_record(problem: str, width: int, seconds: float) -> Record:
    """Evaluation and gradient in the suite's Taylor mode, for rows apart beside the usual one."""
    suite = load_suite()[problem]
    network = suite.network(suite.sizes(width), 0, torch.float64)
    unknowns = suite.unknowns(torch.float64)
    equations = suite.losses(suite.draw(suite.counts(True, 1.0), 0), torch.float64)

    def total(mode: Any) -> None:
        found = equations.whole.residuals(derivatives_of(network, mode), unknowns)
        losses = equations.losses(found, apart=False)
        means = [w * r.square().mean() for pairs in losses.residuals.values() for r, w in pairs]
        torch.autograd.grad(torch.stack(means).sum(), list(network.parameters()))

    timed = {"apart": (partial(total, "taylor_apart"), 2)}
    blocks = interleave(partial(total, "taylor"), timed, seconds)["apart"]
    return {"width": width, **_spreads(samples(blocks, refresh=1))}


def conjugate_record(case: CurvatureCase, damping: float) -> Record:
    """Iterations of conjugate gradients on ``(S S^T + lambda I) x = r``, never forming it.

    Args:
        case: network and points.
        damping: lambda, relative to the mean diagonal of the Gram matrix.
    """
    matrix = Pieces(case).matrix
    r = torch.cat([v.detach().view(-1) for v in case.residuals().values()])
    found = iterations(matrix, r, damping * NormalEquations(matrix).scale)
    return {**_size(case), "iterations": found}


def iterations(matrix: RowMatrix, side: Tensor, damping: float, most: int = 150) -> Record:
    """Per tolerance, relative to the right-hand side, iterations to get there; None if above."""
    x, r = torch.zeros_like(side), side.clone()
    p, squared, norm = r.clone(), float(r @ r), float(r.norm())
    met: dict[str, Any] = {"0.01": None, "0.0001": None, "most": most}
    began = time.perf_counter()
    for count in range(1, most + 1):
        product = matrix.along(matrix.combined(p)) + damping * p
        share = squared / float(p @ product)
        x += share * p
        r -= share * product
        before, squared = squared, float(r @ r)
        for tolerance in ("0.01", "0.0001"):
            if met[tolerance] is None and squared**0.5 <= float(tolerance) * norm:
                met[tolerance] = count
        if met["0.0001"] is not None:
            break
        p = r + squared / before * p
    return {**met, "ms_each": round((time.perf_counter() - began) * 1e3 / count, 1)}


def _size(case: CurvatureCase) -> Record:
    return {"parameters": case.parameters, "rows": case.rows, "losses": 3}


def _spreads(found: list[Any]) -> Record:
    ms, ratio = (spread([getattr(s, name) for s in found]) for name in ("ms", "ratio"))
    rounded = {"ms": ms, "ratio": ratio}
    return {name: [float(f"{x:.4g}") for x in values] for name, values in rounded.items()}
