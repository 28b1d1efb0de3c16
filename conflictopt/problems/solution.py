"""The exact solution of a problem: a closed form or a numerical reference."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .errors import SpecError
from .functions import array_function
from .geometry import Array
from .spec import Spec


class Solution:
    """Values of the exact solution.

    Args:
        spec: of the problem. A numerical reference is computed when it is first asked for.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def values(self, points: Array) -> dict[str, Array]:
        """Per output its values ``[N]`` at points ``[N, d]``."""
        if not self._spec.exact:
            found: dict[str, Array] = self.reference.values(points)
            return found
        values = self._closed_form(*points.T)
        return dict(zip(self._spec.exact, values, strict=True))

    def test_set(self) -> tuple[Array, dict[str, Array]]:
        """Points ``[N, d]`` at which errors are measured, and the exact values there."""
        if not self._spec.exact:
            points, values = self.reference.grid()
            return points, values
        rng = np.random.default_rng(self._spec.test_seed)
        unit = rng.random((self._spec.test_points, len(self._spec.inputs)))
        geometry = self._spec.geometry
        low, high = np.array(geometry.lower), np.array(geometry.upper)
        points = low + unit * (high - low)
        points[:, geometry.space] = geometry.place(unit[:, geometry.space])
        return points, self.values(points)

    @cached_property
    def reference(self) -> Any:
        """The numerical reference.

        Raises:
            SpecError: the entry's ``reference`` cannot be solved.
        """
        from .language import parse
        from .references.from_specification import reference_of

        numbers = dict(self._spec.parameters)
        numbers.update({n: u.true for n, u in self._spec.unknowns.items()})
        try:
            return reference_of(self._spec.raw, numbers, parse)
        except (ValueError, KeyError) as error:
            raise SpecError(self._spec.id, "reference", str(error)) from error

    @cached_property
    def _closed_form(self) -> Any:
        return array_function(self._spec.jets.coordinates, list(self._spec.exact.values()))
