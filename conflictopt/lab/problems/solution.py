"""The exact solution of a problem: a closed form or a numerical reference."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .functions import array_function
from .geometry import Array
from .spec import ProblemSpec
from .specification_errors import SpecError


class Solution:
    """Values of the exact solution.

    Args:
        spec: of the problem. A numerical reference is computed when it is first asked for.
    """

    def __init__(self, spec: ProblemSpec) -> None:
        self._spec = spec

    def values(self, points: Array) -> dict[str, Array]:
        """Per output its values ``[N]`` at points ``[N, d]``.

        Raises:
            SpecError: a closed form that is infinite or not real somewhere.
        """
        if not self._spec.exact:
            numerical: dict[str, Array] = self.reference.values(points)
            return numerical
        values = dict(zip(self._spec.exact, self._closed_form(*points.T), strict=True))
        for output, found in values.items():
            bad = np.flatnonzero(~np.isfinite(found))
            if len(bad):
                at = ", ".join(
                    f"{n}={v:g}" for n, v in zip(self._spec.inputs, points[bad[0]], strict=True)
                )
                raise SpecError(
                    self._spec.id,
                    f"exact.{output}",
                    f"expected finite real values, found {found[bad[0]]} at {at}.",
                )
        return values

    def test_set(self) -> tuple[Array, dict[str, Array]]:
        """Points ``[N, d]`` at which errors are measured, and the exact values there.

        Raises:
            SpecError: a metric output whose exact values are all zero.
        """
        points, values = self._test_points()
        for output in self._spec.metric_outputs:
            if not values[output].any():
                raise SpecError(
                    self._spec.id,
                    "metric_outputs",
                    f"'{output}' is zero everywhere and has no relative error; leave it out.",
                )
        return points, values

    def _test_points(self) -> tuple[Array, dict[str, Array]]:
        if not self._spec.exact:
            grid: tuple[Array, dict[str, Array]] = self.reference.grid()
            return grid
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
        except (ValueError, KeyError, TypeError, ArithmeticError, MemoryError) as error:
            raise SpecError(self._spec.id, "reference", str(error)) from error

    @cached_property
    def _closed_form(self) -> Any:
        return array_function(self._spec.jets.coordinates, list(self._spec.exact.values()))
