"""The residuals of one evaluation, as the closure of a step returns them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor

from ..core.errors import LossError, NonFiniteError

Given: TypeAlias = Tensor | tuple[Tensor, float] | Sequence[Tensor | tuple[Tensor, float]]
"""Residuals of one loss: a tensor, a pair ``(r, w)`` of it and its weight, or several of these."""

ResidualClosure: TypeAlias = Callable[[], Mapping[str, Given]]


@dataclass(frozen=True)
class ResidualSet:
    """Residuals ``r`` of one loss that is ``w mean(r ** 2)``.

    Attributes:
        name: of the loss.
        values: r as ``[n, m]``, with its graph; a row is what one collocation point gives.
        weight: w.
    """

    name: str
    values: Tensor
    weight: float

    @property
    def rows(self) -> int:
        """How many rows there are, n."""
        return self.values.shape[0]

    def scaled(self, rows: Tensor | None = None) -> Tensor:
        """``[k m]`` float64 entries of k rows, or all, scaled such that their squares add up to
        the mean over these rows, without graph.
        """
        r = self.values.detach()
        chosen = r if rows is None else r[rows]
        return chosen.reshape(-1).double() * self.scale(len(chosen))

    def scale(self, rows: int) -> float:
        """What entries of k rows are multiplied by: ``sqrt(w / (k m))``."""
        return math.sqrt(self.weight / (rows * self.values.shape[1]))


def read(found: Mapping[str, Given]) -> tuple[ResidualSet, ...]:
    """Read what a closure returned; the sum of all losses is what a step lowers.

    Raises:
        LossError: not a mapping of residuals, an empty one, or a bad weight; the message names
            the loss.
    """
    if not isinstance(found, Mapping) or not found:
        raise LossError(
            "expected residuals from the closure, {name: r} or {name: (r, weight)}, found "
            f"{type(found).__name__}. Return the residual tensors, not their mean squares, and "
            "call no backward. Where a library writes the closure, have its model hand over the "
            "residuals: patch(model, 'sum')."
        )
    sets = [s for name, given in found.items() for s in _sets(name, given)]
    if not any(s.values.requires_grad for s in sets):
        raise LossError(
            "no residual has a graph (requires_grad is False): were they detached, or computed "
            "under no_grad?"
        )
    return tuple(sets)


def total(sets: Sequence[ResidualSet]) -> float:
    """``sum_i w_i mean(r_i ** 2)``; not finite where a residual is not."""
    return sum(float(s.weight * s.values.detach().double().square().mean()) for s in sets)


def check_finite(sets: Sequence[ResidualSet]) -> None:
    """Check residuals before they are differentiated.

    Raises:
        NonFiniteError: an infinite or NaN residual; the message names the loss.
    """
    bad = sorted({s.name for s in sets if not bool(s.values.detach().isfinite().all())})
    if bad:
        raise NonFiniteError(f"expected finite residuals, found inf or nan in {', '.join(bad)}.")


def _sets(name: str, given: Any) -> list[ResidualSet]:
    if _is_pair(given) or isinstance(given, Tensor):
        given = [given]
    if not isinstance(given, Sequence) or not given:
        raise LossError(f"expected the residuals of loss '{name}', found {type(given).__name__}.")
    pairs = [g if _is_pair(g) else (g, 1.0) for g in given]
    return [ResidualSet(name, _matrix(name, r), _weight(name, w)) for r, w in pairs]


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and not isinstance(given[1], Tensor | tuple)


def _matrix(name: str, r: Any) -> Tensor:
    if not isinstance(r, Tensor) or not r.numel() or not r.is_floating_point():
        found = f"{r.dtype} {list(r.shape)}" if isinstance(r, Tensor) else type(r).__name__
        raise LossError(
            f"expected the residuals of loss '{name}' as a non-empty real tensor, found {found}."
        )
    return r.reshape(1, 1) if r.ndim == 0 else r.reshape(len(r), -1)


def _weight(name: str, w: Any) -> float:
    number = float(w) if isinstance(w, (int, float)) and not isinstance(w, bool) else math.nan
    if not (math.isfinite(number) and number >= 0):
        raise LossError(f"expected the weight of loss '{name}' as a number >= 0, found {w!r}.")
    return number
