"""The residuals of one loss as one vector, and products of its Jacobian's transpose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..core.errors import LossError, NonFiniteError
from ..core.losses import Residual
from .blocks import Columns

Given: TypeAlias = Tensor | Sequence[Tensor | Residual]
"""Residuals of one loss: a tensor, several, or pairs ``(r, w)`` as in ``Losses.residuals``."""


@dataclass(frozen=True)
class ResidualVector:
    """``rho`` ``[n]``, which stacks ``sqrt(w_i / numel(r_i)) r_i``, so that ``|rho|^2 = L``.

    Attributes:
        name: of the loss.
        pairs: its residual tensors ``r_i``, any shape, with weights ``w_i``: the loss is
            ``sum_i w_i mean(r_i^2)``.
    """

    name: str
    pairs: tuple[Residual, ...]

    @property
    def size(self) -> int:
        """n, the number of entries."""
        return sum(r.numel() for r, _ in self.pairs)

    def values(self) -> Tensor:
        """``rho`` as float64 on the CPU.

        Raises:
            NonFiniteError: an infinite or NaN residual.
        """
        flat = [
            r.detach().to("cpu", torch.float64).reshape(-1) * (w / r.numel()) ** 0.5
            for r, w in self.pairs
        ]
        rho = torch.cat(flat)
        if not bool(rho.isfinite().all()):
            raise NonFiniteError(f"expected finite residuals, found inf or nan in '{self.name}'.")
        return rho

    def pull(self, seed: Tensor, columns: Columns) -> Tensor:
        """``J^T seed`` ``[P]`` for ``J = d rho / d theta``: one backward pass; graphs are retained.

        Tensors whose part of the seed is zero are left out of the pass.

        Raises:
            LossError: the residuals' graph was used up.
            NonFiniteError: an infinite or NaN derivative.
        """
        outputs, seeds, start = [], [], 0
        for r, w in self.pairs:
            part = seed[start : start + r.numel()]
            start += r.numel()
            if r.requires_grad and bool(part.any()):
                outputs.append(r)
                seeds.append((part * (w / r.numel()) ** 0.5).to(r.device, r.dtype).view(r.shape))
        if not outputs:
            return columns.flatten([None] * len(columns.params))
        try:
            grads = torch.autograd.grad(
                outputs, columns.params, seeds, retain_graph=True, allow_unused=True
            )
        except RuntimeError as error:
            raise LossError(
                f"the residuals of loss '{self.name}' could not be differentiated; a backward pass "
                "frees their graph, so evaluate them afresh for the kernel. torch says: "
                f"{error}"
            ) from error
        row = columns.flatten(grads)
        if not bool(row.isfinite().all()):
            raise NonFiniteError(f"expected finite derivatives of '{self.name}', found inf or nan.")
        return row

    def gradient(self, columns: Columns) -> Tensor:
        """``[P]`` gradient of the loss, ``2 J^T rho``."""
        return 2 * self.pull(self.values(), columns)


def vectors(residuals: Mapping[str, Given]) -> tuple[ResidualVector, ...]:
    """Read the residuals of all losses.

    Raises:
        LossError: no loss, a loss without residuals, an empty tensor, a weight that is not a
            number >= 0, or no residual that carries a graph.
        NonFiniteError: an infinite or NaN residual.
    """
    if not isinstance(residuals, Mapping) or not residuals:
        raise LossError(f"expected residuals by loss name, found {residuals!r}.")
    found = tuple(ResidualVector(name, _pairs(name, given)) for name, given in residuals.items())
    if not any(r.requires_grad for v in found for r, _ in v.pairs):
        raise LossError(
            "no residual has a graph (requires_grad is False): were they detached, or computed "
            "under no_grad?"
        )
    for v in found:
        v.values()
    return found


def _pairs(name: str, given: Given) -> tuple[Residual, ...]:
    items: Sequence[Any] = given if isinstance(given, (list, tuple)) else [given]
    pairs = tuple(i if isinstance(i, tuple) and len(i) == 2 else (i, 1.0) for i in items)
    good = pairs and all(isinstance(r, Tensor) and r.numel() and _weight(w) for r, w in pairs)
    if not good:
        raise LossError(
            f"expected the residuals of loss '{name}' as non-empty tensors, or pairs of a tensor "
            f"and a weight >= 0, found {[_shape(r) for r, _ in pairs]} with weights "
            f"{[w for _, w in pairs if not isinstance(w, Tensor)]}."
        )
    return pairs


def _weight(w: Any) -> bool:
    return isinstance(w, (int, float)) and math.isfinite(w) and w >= 0


def _shape(r: Any) -> str:
    return str(list(r.shape)) if isinstance(r, Tensor) else type(r).__name__
