"""Whether a run can go on with steps on its residuals, and what speaks for it."""

from __future__ import annotations

from dataclasses import dataclass

from ..wording import counted

LEAST_ITERATIONS = 500
"""Of the plain optimizer. To find out what a step on residuals costs takes some of them: it should
be a tenth of the time at most where it is for nothing."""


@dataclass(frozen=True)
class CurvatureCase:
    """What a host knows, at the end of the profile, of steps on residuals.

    Attributes:
        obstacle: why there are none, a clause; ``None`` if they are possible.
        residuals: entries of all losses.
        iterations: of the plain optimizer that the present call has left.
        measured: names of losses that hold noisy measurements.
        unreadable: whether the obstacle is that residuals cannot be read.
    """

    obstacle: str | None = None
    residuals: int = 0
    iterations: int = 0
    measured: tuple[str, ...] = ()
    unreadable: bool = False

    @property
    def against(self) -> str | None:
        """Why the run does not go on with them, a clause; ``None`` if it does."""
        if self.obstacle is not None:
            return self.obstacle
        if self.iterations < LEAST_ITERATIONS:
            return (
                f"{counted(self.iterations, 'iteration')} are left, in whose time too few such "
                f"steps fit ({LEAST_ITERATIONS} would do)"
            )
        return None

    @property
    def reason(self) -> str:
        """What speaks for them, a sentence."""
        return (
            f"the {self.residuals} residuals of the losses can be read, and in the time of the "
            f"{self.iterations} iterations that are left, steps on them lower all losses together "
            "(docs/curvature.md)."
        )
