"""How Levenberg-Marquardt steps are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..core.checks import check_count
from ..core.errors import MethodError
from .jacobian import ENGINES, Engine


@dataclass(frozen=True, kw_only=True)
class CurvatureOptions:
    """How each step of ``LevenbergMarquardt`` is taken.

    Args:
        rows: how many residual rows a step is made of, drawn anew for every step from all losses in
            proportion to their points. With fewer it is cheaper; ``None`` for all.
        damping: the first lambda, relative to the mean diagonal of the Gram matrix.
        lower: what lambda is divided by after a step that is taken at the first trial.
        raise_by: what it is multiplied by after a trial that did not lower the losses.
        trials: how many trials a step may take; after the last it stays where it is.
        geodesic: whether to add half the second-order correction along the step (two more
            evaluations).
        momentum: how much of the step before the damping leaves alone, 0 to 1 (SPRING).
        engine: how rows are differentiated, see ``RowJacobian``.
        memory: bytes that the rows of a step may take; it has fewer rows where they would not fit.
        seed: of the choice of rows.

    Raises:
        MethodError: a bad value; the message names the option.
    """

    rows: int | None = 600
    damping: float = 1e-2
    lower: float = 5.0
    raise_by: float = 1.5
    trials: int = 8
    geodesic: bool = True
    momentum: float = 0.0
    engine: Engine = "auto"
    memory: float = 1e9
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows is not None:
            check_count("rows", self.rows)
        check_count("trials", self.trials)
        for name, low in (("damping", 0.0), ("lower", 1.0), ("raise_by", 1.0), ("memory", 0.0)):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > low):
                raise MethodError(f"expected {name} as a number > {low:g}, found {value!r}.")
        if not 0 <= self.momentum < 1:
            raise MethodError(f"expected momentum from 0 to below 1, found {self.momentum!r}.")
        if self.engine not in ENGINES:
            raise MethodError(
                f"expected engine as one of {', '.join(ENGINES)}, found {self.engine!r}."
            )
