"""Whether a run goes on with steps on residuals, and with which measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..optim.last_step import LastStep
from ..selection.curvature_case import CurvatureCase
from .step_times import StepTimes

FAR = 100.0
"""Times the other losses, from which on measurements are far from being fitted: their weight would
be the least at once (``curvature.noise``)."""


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


def fitted_measurements(
    measured: Sequence[str], last: LastStep | None
) -> tuple[tuple[str, ...], str | None]:
    """Losses that hold noisy measurements, and may get less weight than they have.

    None of them if they are far from being fitted yet: with less weight they never would be.

    Args:
        measured: their names.
        last: the last step of the profile.

    Returns:
        Their names, and what to tell of it, if anything.
    """
    losses = dict(zip(last.names, last.values, strict=True)) if last is not None else {}
    held = sum(losses.get(name, 0.0) for name in measured)
    rest = sum(value for name, value in losses.items() if name not in measured)
    if not measured or held <= FAR * rest:
        return tuple(measured), None
    told = f"measurements keep their full weight: their loss is {held:.1e}, the others' {rest:.1e}."
    return (), told
