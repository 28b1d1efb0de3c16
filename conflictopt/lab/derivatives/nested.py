"""Nested reverse mode: derivatives of any differentiable function, one backward pass each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .indices import MultiIndex, Wanted


def derivatives(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    wanted: Wanted,
    weights: Sequence[Tensor] = (),
) -> tuple[dict[MultiIndex, Tensor], tuple[Tensor, ...]]:
    """Derivatives of a function's outputs by nested calls of autograd, as DeepXDE takes them.

    Args:
        function: ``[N, d]`` -> ``[N, outputs]``, row by row.
        x: points ``[N, d]``.
        wanted: which derivatives.
        weights: per operator its weights ``[terms, N]`` or ``[terms, 1]``.

    Returns:
        Per partial derivative a tensor ``[N, outputs]``, and per operator one; differentiable.
    """
    points = x.detach().requires_grad_()
    with torch.enable_grad():
        outputs = function(points)
        return of_outputs(outputs, points, wanted, weights)


def of_outputs(
    outputs: Tensor, points: Tensor, wanted: Wanted, weights: Sequence[Tensor] = ()
) -> tuple[dict[MultiIndex, Tensor], tuple[Tensor, ...]]:
    """The same, of outputs ``[N, outputs]`` that were computed from ``points`` with graph."""
    columns = [_Column(column, points) for column in outputs.unbind(1)]
    found = {p: torch.stack([c.partial(p) for c in columns], dim=1) for p in wanted.partials}
    sums = []
    for op, w in zip(wanted.operators, weights, strict=True):
        terms = [*((i, i) for i in op.seconds), *((j,) for j in op.firsts)]
        per_output = [_weighted([c.partial(t) for t in terms], w) for c in columns]
        sums.append(torch.stack(per_output, dim=1))
    return found, tuple(sums)


def _weighted(values: list[Tensor], weights: Tensor) -> Tensor:
    return (torch.stack(values) * weights).sum(0)


class _Column:
    """One output and the gradients taken of it so far."""

    def __init__(self, value: Tensor, points: Tensor) -> None:
        self._points = points
        self._values: dict[MultiIndex, Tensor] = {(): value}
        self._gradients: dict[MultiIndex, Tensor] = {}

    def partial(self, index: MultiIndex) -> Tensor:
        """A partial derivative ``[N]``."""
        if index not in self._values:
            below = index[:-1]
            if below not in self._gradients:
                self._gradients[below] = self._gradient(self.partial(below))
            self._values[index] = self._gradients[below][:, index[-1]]
        return self._values[index]

    def _gradient(self, value: Tensor) -> Tensor:
        if not value.requires_grad:  # a constant, whose derivative is zero
            return torch.zeros_like(self._points)
        (found,) = torch.autograd.grad(
            value.sum(), self._points, create_graph=True, allow_unused=True
        )
        return found if found is not None else torch.zeros_like(self._points)
