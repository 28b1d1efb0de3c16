"""Whether a run goes on with steps on residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..selection.curvature_case import CurvatureCase
from .step_times import StepTimes


def stage_case(
    case: CurvatureCase, times: StepTimes, residuals: int, repeated: Sequence[int] | None
) -> CurvatureCase:
    """What a host says of steps on residuals, with what the run itself knows.

    Args:
        case: of the host.
        times: of the profile's steps.
        residuals: entries that came with the losses.
        repeated: the calls in which another run took them; ``None`` to take them by time.
    """
    why, count = None, case.residuals or residuals
    if times.plain is None:
        why = "every step of the profile was sampled, none timed"
    elif not count:
        why = "no residuals came with the losses"
    elif repeated is not None and not repeated:
        why = "the run that is repeated had none"
    return replace(case, obstacle=case.obstacle or why, residuals=count)
