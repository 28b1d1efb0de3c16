"""A numerical reference: values on the test grid and anywhere else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .auxiliary import Auxiliary
from .fourier import Array, Complex, Modes
from .reference_error import ReferenceSolutionError
from .strip import Strip

GRID_POSITIONS = 256
GRID_TIMES = 101


@dataclass(frozen=True, eq=False, kw_only=True)
class Reference(ABC):
    """The solution of a problem in one space input and time, known by numbers.

    Attributes:
        strip: the inputs and their intervals.
        main: the output that is solved for.
        auxiliary: the outputs that follow from it.
        outputs: all of them, in the order of the problem.
        tolerance: error of the solution, and of its residuals relative to
            ``max(1, max |u_t|)``.
        modes: of the period that it is checked on.
        step: the time step that it is checked with.

    Raises:
        ReferenceSolutionError: outputs that are not these, or a step that is not positive.
    """

    strip: Strip
    main: str
    auxiliary: Mapping[str, Auxiliary] = field(default_factory=dict)
    outputs: tuple[str, ...]
    tolerance: float
    modes: Modes
    step: float

    def __post_init__(self) -> None:
        if sorted(self.outputs) != sorted([self.main, *self.auxiliary]):
            raise ReferenceSolutionError(
                f"expected the outputs {', '.join(self.outputs)} to be the main output "
                f"'{self.main}' and the auxiliary ones ({', '.join(self.auxiliary) or 'none'})."
            )
        if not self.step > 0:
            raise ReferenceSolutionError(f"expected a time step > 0, found {self.step}.")

    @property
    @abstractmethod
    def positions(self) -> Array:
        """``[256]`` positions of the test grid."""

    @property
    def times(self) -> Array:
        """``[101]`` equispaced times of the test grid, both ends included."""
        return np.linspace(*self.strip.time, GRID_TIMES)

    @abstractmethod
    def grid(self) -> tuple[Array, dict[str, Array]]:
        """The test grid, time by time: points ``[256 * 101, 2]`` and each output's values."""

    @abstractmethod
    def values(self, points: ArrayLike) -> dict[str, Array]:
        """Each output's ``[N]`` values at points ``[N, 2]`` in input order.

        Raises:
            ReferenceSolutionError: another shape, or a point outside the strip.
        """

    @abstractmethod
    def frames(self, steps: Sequence[int]) -> Complex:
        """``[S, M]`` coefficients of the main output after these numbers of steps, increasing."""

    def known(self, output: str) -> str:
        """The output's name, if it is one of the solution.

        Raises:
            ReferenceSolutionError: it is not.
        """
        if output not in self.outputs:
            raise ReferenceSolutionError(
                f"expected one of the outputs {', '.join(self.outputs)}, found '{output}'."
            )
        return output
