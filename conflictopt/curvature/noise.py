"""Weights of measured losses, by the noise level that their residuals come to rest at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core.errors import MethodError
from .residuals import ResidualSet, total

_MEMORY = 0.8
"""How much of the running means a step keeps."""

_LEAST = 1e-4
"""The least weight of measurements."""


class MeasuredLosses:
    """Takes weight off measured losses as far as only their noise is left to fit.

    A step that interpolates measurements interpolates their noise, and the network follows it
    although the equations hold nowhere else then. While equations and conditions are as far from
    being met as the measurements, all count alike; as their losses fall below those of the
    measurements, which come to rest at the noise level, measurements count less:
    ``w = min(1, (L_conditions / L_measured)^2)``, of running means, at least 1e-4. The maximum
    likelihood estimate has the exponent 1 (Kendall, Gal, Cipolla 2018, arXiv 1705.07115); with 2
    the equations, which hold exactly, go on being enforced.

    Args:
        names: of the measured losses.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def weight(self, sets: Sequence[ResidualSet], memory: dict[str, Any]) -> float:
        """The weight of measured losses in this step.

        Args:
            sets: residuals on the step's rows.
            memory: running means are kept here, as numbers.

        Raises:
            MethodError: a measured loss that is not among them.
        """
        if not self._names:
            return 1.0
        others = {s.name for s in sets} - self._names
        unknown = self._names - {s.name for s in sets}
        if unknown:
            raise MethodError(
                f"expected measured as names of losses, found {', '.join(sorted(unknown))} and the "
                f"losses {', '.join(dict.fromkeys(s.name for s in sets))}."
            )
        if not others:
            return 1.0
        for key, measured in (("conditions_mean", False), ("measured_mean", True)):
            now = total([s for s in sets if (s.name in self._names) == measured])
            before = memory.get(key)
            memory[key] = now if before is None else _MEMORY * before + (1 - _MEMORY) * now
        low, level = memory["conditions_mean"], memory["measured_mean"]
        return float(min(1.0, max(_LEAST, (low / level) ** 2))) if level > 0 else 1.0

    def weighted(self, sets: Sequence[ResidualSet], *, weight: float) -> tuple[ResidualSet, ...]:
        """Residuals with that weight on the measured ones."""
        if weight == 1.0:
            return tuple(sets)
        return tuple(
            replace(s, weight=s.weight * weight) if s.name in self._names else s for s in sets
        )
