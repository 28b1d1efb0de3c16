"""The reference and its derivatives at points of a periodic grid, to evaluate residuals on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .auxiliary import Index
from .fourier import Array
from .reference_error import ReferenceSolutionError
from .solution import Reference

MAIN_ORDER = 4  # highest x-derivative of the main output
AUXILIARY_ORDER = 2
_AROUND = 3  # steps on either side of a time
_DIFFERENCES = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60.0


@dataclass(frozen=True)
class CheckTable:
    """Points and derivatives there.

    Attributes:
        points: ``[N, 2]`` in input order.
        values: by output and index of the derivative (``()``, ``("x",)``, ``("t",)``, ...),
            ``[N]`` each.
    """

    points: Array
    values: Mapping[tuple[str, Index], Array]


def check_table(
    reference: Reference, fractions: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.95)
) -> CheckTable:
    """The solution and its derivatives on the whole grid of one period, at a few times.

    x-derivatives (to the fourth of the main output, the second of auxiliary ones) are spectral;
    the time derivative of the main output is the sixth-order central difference of the six
    neighbouring steps, which knows nothing of the equation.

    Args:
        reference: solves the equation, over a second or so, unless these steps are stored.
        fractions: times as fractions of the interval; moved to the nearest step.

    Returns:
        a table of all times' points, time by time.

    Raises:
        ReferenceSolutionError: no times, or fewer than seven steps in the interval.
    """
    strip, modes, step = reference.strip, reference.modes, reference.step
    centres = _centres(round(strip.duration / step), fractions)
    near = [[n + j for j in range(-_AROUND, _AROUND + 1)] for n in centres]
    steps = sorted({n for group in near for n in group})
    solved = dict(zip(steps, reference.frames(steps), strict=True))
    main = np.stack([solved[n] for n in centres])
    around = np.stack([[solved[n] for n in group] for group in near])
    rate = np.einsum("j,cjm->cm", _DIFFERENCES / step, around)
    values: dict[tuple[str, Index], Array] = {(reference.main, ("t",)): modes.on_grid(rate)}
    for order in range(MAIN_ORDER + 1):
        values[reference.main, (strip.coordinate,) * order] = modes.on_grid(main, order)
    for name, auxiliary in reference.auxiliary.items():
        found = auxiliary.coefficients(modes, main, strip.coordinate)
        for order in range(AUXILIARY_ORDER + 1):
            values[name, (strip.coordinate,) * order] = modes.on_grid(found, order)
    times = strip.time[0] + step * np.asarray(centres, dtype=np.float64)
    points = strip.product(modes.grid(), times)
    return CheckTable(points, {key: value.ravel() for key, value in values.items()})


def _centres(last: int, fractions: Sequence[float]) -> list[int]:
    if not fractions or last < 2 * _AROUND or not all(0 <= f <= 1 for f in fractions):
        raise ReferenceSolutionError(
            f"expected times as fractions in [0, 1] and at least {2 * _AROUND} time steps, "
            f"found {list(fractions)} and {last}."
        )
    return sorted({min(max(round(f * last), _AROUND), last - _AROUND) for f in fractions})
