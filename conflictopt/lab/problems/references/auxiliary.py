"""Outputs that follow from the main one at the same time, such as a chemical potential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .fourier import Array, Complex, Modes

Index = tuple[str, ...]  # the inputs of a partial derivative: () for the value, ("x", "x")
Formula = Callable[[Mapping[Index, Array]], Array]


@dataclass(frozen=True)
class Auxiliary:
    """An output as a function of the main output and its x-derivatives.

    Attributes:
        order: highest derivative in the formula.
        formula: from the derivatives, by their index, to the output; arrays of one shape.
    """

    order: int
    formula: Formula

    def coefficients(self, modes: Modes, main: Complex, coordinate: str) -> Complex:
        """``[..., M]`` coefficients of the output from those of the main output.

        Products are formed on the grid, so the main output must be resolved well enough that
        they do not reach beyond the highest mode.
        """
        derivatives = {
            (coordinate,) * order: modes.on_grid(main, order) for order in range(self.order + 1)
        }
        shape = derivatives[()].shape
        return modes.coefficients(np.broadcast_to(self.formula(derivatives), shape))
