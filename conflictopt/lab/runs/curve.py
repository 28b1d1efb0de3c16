"""What a run notes on its way: losses, coefficients, errors, time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...optim.last_step import LastStep


def noted_steps(steps: int, count: int) -> list[int]:
    """About ``count`` numbers of steps, evenly spaced; the first and the last are among them."""
    found = np.linspace(1, steps, min(count, steps)).round().astype(int)
    return sorted({int(s) for s in found})


class Stopwatch:
    """Wall and processor time of training alone.

    Attributes:
        wall_s, cpu_s: seconds so far.
    """

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts what happens inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall_s += time.perf_counter() - wall
            self.cpu_s += time.process_time() - cpu


class Curve:
    """Notes of one run.

    Args:
        names: the K losses.
        measure: the network's present errors, per output.
    """

    def __init__(self, names: tuple[str, ...], measure: Callable[[], dict[str, float]]) -> None:
        self._measure = measure
        self._steps: list[int] = []
        self._cpu: list[float] = []
        self._losses: dict[str, list[float | None]] = {n: [] for n in names}
        self._weights: dict[str, list[float | None]] = {n: [] for n in names}
        self._errors: dict[str, list[float | None]] = {}

    def note(self, step: int, last: LastStep, cpu_s: float) -> None:
        """Note the state after a step; its losses are those that the step began with."""
        self._steps.append(step)
        self._cpu.append(round(cpu_s, 4))
        coefficients = last.coefficients
        trunk = coefficients if coefficients.ndim == 1 else coefficients[:, 0]
        for name, value, weight in zip(last.names, last.values, trunk.tolist(), strict=True):
            self._losses[name].append(_short(value))
            self._weights[name].append(_short(weight))
        for output, error in self._measure().items():
            self._errors.setdefault(output, []).append(_short(error))

    def to_json(self) -> dict[str, Any]:
        """The record's key ``curve``."""
        return {
            "step": self._steps,
            "cpu_time_s": self._cpu,
            "losses": self._losses,
            "relative_l2": self._errors,
        }

    def coefficients(self) -> dict[str, list[float | None]]:
        """The record's key ``coefficients``; of several blocks those of the network."""
        return self._weights


def _short(value: float) -> float | None:
    """Five significant digits, and nothing that JSON cannot hold."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
