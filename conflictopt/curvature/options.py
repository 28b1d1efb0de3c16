"""How Levenberg-Marquardt steps are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.checks import check_count, is_number
from ..core.errors import MethodError
from .jacobian import ENGINES, Engine


@dataclass(frozen=True, kw_only=True)
class CurvatureOptions:
    """How each step of ``LevenbergMarquardt`` is taken.

    Args:
        rows: of how many residual entries a step is made, drawn anew for every step from all losses
            in proportion to their points; ``None`` for all. Few rows make a step cheap, and some
            100 steps should fit in the time that there is.
        growth: what the number of rows is multiplied by where the loss on fresh rows stops falling;
            see ``growth.grow``.
        most_rows: up to how many.
        damping: the first lambda, relative to the mean diagonal of the Gram matrix.
        lower: what lambda is divided by after a step that was taken at the first trial.
        higher: what it is multiplied by after a trial that did not lower the loss.
        fresh_damping: whether the damping rises, too, where the loss on fresh rows rose with the
            last step and is above that of the first: steps that are made of few rows fit these, and
            may lose elsewhere what they gain there.
        trials: how many trials a step may take; after the last it stays where it is.
        geodesic: whether to add half the second-order correction along the step, for one more
            evaluation of the residuals.
        measured: names of losses that hold measurements. As the other losses fall below theirs,
            which come to rest at the noise, they get less weight; see ``noise.MeasuredLosses``.
        keep_best: whether to keep the parameters that did best on fresh rows, for ``load_best``, at
            one more evaluation of the residuals in each step.
        engine: how rows are differentiated; see ``jacobian.RowJacobian``.
        memory: bytes that the rows of a step may take; it has fewer where they would not fit.
        seed: of the choice of rows.
        alone: in a process group of ``torch.distributed``, whether each process trains a model of
            its own; without it steps are refused there.

    Raises:
        MethodError: a bad value; the message names the option.
    """

    rows: int | None = 300
    growth: float = 1.5
    most_rows: int = 1200
    damping: float = 1e-2
    lower: float = 5.0
    higher: float = 1.5
    fresh_damping: bool = False
    trials: int = 8
    geodesic: bool = True
    measured: tuple[str, ...] = ()
    keep_best: bool = True
    engine: Engine = "auto"
    memory: float = 1e9
    seed: int = 0
    alone: bool = False

    def __post_init__(self) -> None:
        if self.rows is not None:
            check_count("rows", self.rows)
        check_count("trials", self.trials)
        check_count("most_rows", self.most_rows)
        for name, low in (("damping", 0.0), ("lower", 1.0), ("higher", 1.0), ("memory", 0.0)):
            value = getattr(self, name)
            if not (is_number(value) and value > low):
                raise MethodError(f"expected {name} as a number > {low:g}, found {value!r}.")
        if not (is_number(self.growth) and self.growth >= 1):
            raise MethodError(f"expected growth as a number >= 1, found {self.growth!r}.")
        for name in ("geodesic", "keep_best", "fresh_damping", "alone"):
            if not isinstance(getattr(self, name), bool):
                found = getattr(self, name)
                raise MethodError(f"expected {name} as True or False, found {found!r}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise MethodError(f"expected seed as an integer >= 0, found {self.seed!r}.")
        if not _are_names(self.measured):
            raise MethodError(f"expected measured as names of losses, found {self.measured!r}.")
        if self.engine not in ENGINES:
            raise MethodError(
                f"expected engine as one of {', '.join(ENGINES)}, found {self.engine!r}."
            )


def _are_names(value: Any) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(isinstance(n, str) for n in value)
