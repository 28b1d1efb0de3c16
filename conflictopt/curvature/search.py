"""Trials of one step with more and more damping, until one lowers the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .options import CurvatureOptions
from .problem import StepProblem
from .system import NormalEquations

_PROBE = 0.1
"""Share of a step at which residuals are evaluated for their curvature along it."""

_LONGEST = 0.75
"""Length of the second-order correction, relative to the step, up to which it is trusted."""

_LEAST = 1e-16
"""Of the Gram matrix's mean diagonal, the least damping: rounding is as large."""

_MOST = 1e6
"""Of the same, the damping from which on a step moves next to nothing."""

_RAISED = 5.0
"""What the damping of a step that lost on fresh rows is multiplied by."""


@dataclass(frozen=True)
class CurvatureStep:
    """What a step did.

    Attributes:
        before, after: the loss on the step's rows, ``sum_k w_k mean(r_k ** 2)``.
        damping: lambda of the last trial.
        trials: how many there were.
        taken: whether the last one lowered the loss; else the parameters are as before.
        rows: N, the number of residual entries.
    """

    before: float
    after: float
    damping: float
    trials: int
    taken: bool
    rows: int


def search(
    problem: StepProblem,
    equations: NormalEquations,
    r: Tensor,
    damping: float,
    options: CurvatureOptions,
) -> CurvatureStep:
    """Move the parameters to the first trial point that lowers the loss, or leave them.

    Args:
        problem: the residuals of the step.
        equations: of their Jacobian.
        r: ``[N]`` the residuals where the step begins.
        damping: lambda of the first trial.
        options: how many trials, and how they differ.
    """
    before = float(r @ r)
    for trial in range(1, options.trials + 1):
        step = equations.solve(r, damping)
        if step is not None:
            if options.geodesic:
                step = _corrected(step, problem, equations, r, damping)
            moved = problem.at(step)
            after = float(moved @ moved)
            if math.isfinite(after) and after < before:
                return CurvatureStep(before, after, damping, trial, True, len(r))
        if trial < options.trials:
            damping *= options.higher
    problem.restore()
    return CurvatureStep(before, before, damping, options.trials, False, len(r))


def next_damping(step: CurvatureStep, scale: float, options: CurvatureOptions) -> float:
    """Lambda of the first trial of the step to come."""
    damping = step.damping
    if not step.taken:
        damping *= options.higher
    elif step.trials == 1:
        damping /= options.lower
    return min(max(damping, _LEAST * scale), _MOST * scale)


def remembered(step: CurvatureStep, memory: Mapping[str, Any]) -> dict[str, float]:
    """What ``distrusted`` has to know of the steps before: numbers for the state of the run."""
    first = memory.get("first_loss", step.before)
    last = step.before if step.taken else math.inf
    return {"first_loss": first, "last_loss": last, "last_damping": step.damping}


def distrusted(memory: Mapping[str, Any], now: float, scale: float) -> float:
    """Lambda of the first trial of a step, where the last one lost on fresh rows what it gained.

    Only where the loss is above that of the first step: as long as it falls, bold steps that now
    and then lose on fresh rows are the fastest.

    Args:
        memory: with the damping by the success on the last step's own rows, and ``remembered``.
        now: the loss on the rows of this step, before it.
        scale: the mean diagonal of the Gram matrix.
    """
    damping = float(memory["damping"])
    if not now > max(memory.get("last_loss", math.inf), memory.get("first_loss", math.inf)):
        return damping
    return min(max(damping, _RAISED * float(memory["last_damping"])), _MOST * scale)


def _corrected(
    step: Tensor, problem: StepProblem, equations: NormalEquations, r: Tensor, damping: float
) -> Tensor:
    """The step with half the second-order correction along it.

    Source: geodesic acceleration, Transtrum and Sethna 2012 (arXiv 1201.5885), equations 4 to 6,
    with the directional derivative as a one-sided difference of their appendix.
    """
    ahead = problem.ahead(step, _PROBE)
    # the step is subtracted: to first order the residuals change by -S step
    curvature = 2 * (ahead - r + _PROBE * equations.along(step)) / _PROBE**2
    if not bool(curvature.isfinite().all()):
        return step
    second = equations.solve(curvature, damping)
    if second is None or 2 * float(second.norm()) > _LONGEST * float(step.norm()):
        return step
    return step + 0.5 * second
