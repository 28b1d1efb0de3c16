"""Rows of the Jacobian by backward passes of single rows, many in one vectorised pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

AT_ONCE = 64
"""Rows in one vectorised pass: more take memory, and hardly less time."""


class BatchedRows:
    """Anything that can be differentiated: one vectorised backward pass for ``AT_ONCE`` rows.

    Attributes:
        vectorised: whether all graphs so far could be; else one pass for each row.
    """

    def __init__(self) -> None:
        self.vectorised = True

    def of(self, r: Tensor, params: Sequence[Tensor]) -> list[Tensor]:
        """Per parameter ``d r / d p`` as ``[n, numel]``, for ``r`` ``[n]``."""
        found = [r.new_zeros(len(r), p.numel()) for p in params]
        for start in range(0, len(r), AT_ONCE):
            stop = min(start + AT_ONCE, len(r))
            seeds = r.new_zeros(stop - start, len(r))
            seeds[:, start:stop].fill_diagonal_(1.0)
            for whole, part in zip(found, self._pull(r, params, seeds), strict=True):
                if part is not None:
                    whole[start:stop] = part.reshape(stop - start, -1)
        return found

    def _pull(self, r: Tensor, params: Sequence[Tensor], seeds: Tensor) -> Sequence[Tensor | None]:
        if self.vectorised:
            try:
                return torch.autograd.grad(
                    r, params, seeds, True, allow_unused=True, is_grads_batched=True
                )
            except RuntimeError:
                self.vectorised = False
        each = [torch.autograd.grad(r, params, s, True, allow_unused=True) for s in seeds]
        return [
            None if rows[0] is None else torch.stack([g for g in rows if g is not None])
            for rows in zip(*each, strict=True)
        ]


def scalar_columns(r: Tensor, params: Sequence[Tensor]) -> list[Tensor]:
    """The same for few scalars, by differentiating twice: ``d/dv`` of ``d(v . r)/du`` is ``dr/du``.

    One small pass for each scalar, however many rows there are, and rows may be coupled.
    """
    v = torch.ones_like(r).requires_grad_()
    grads = torch.autograd.grad(r, params, v, create_graph=True, allow_unused=True)
    found = []
    for g, p in zip(grads, params, strict=True):
        columns = r.new_zeros(len(r), p.numel())
        for k, entry in enumerate([] if g is None else g.reshape(-1)):
            (column,) = torch.autograd.grad(entry, v, retain_graph=True, allow_unused=True)
            if column is not None:
                columns[:, k] = column
        found.append(columns)
    return found
