"""The damped normal equations of one step."""

from __future__ import annotations

import torch
from torch import Tensor

from .row_matrix import RowMatrix


class NormalEquations:
    """``(S^T S + lambda I) d = S^T r`` for a step d, by Cholesky's factors.

    Those are of the smaller Gram matrix: with fewer residuals than parameters by way of
    ``d = S^T (S S^T + lambda I)^-1 r``, which is the same.

    Args:
        jacobian: S ``[N, P]``.

    Attributes:
        scale: mean of the Gram matrix's diagonal.
    """

    def __init__(self, jacobian: RowMatrix) -> None:
        self._s = jacobian
        n, p = jacobian.shape
        self.dual = n <= p
        self._gram = jacobian.gram() if self.dual else jacobian.gram_of_columns()
        self.scale = float(self._gram.diagonal().mean())
        self._factor: tuple[float, Tensor | None] | None = None

    def solve(self, residuals: Tensor, damping: float) -> Tensor | None:
        """The step ``[P]`` for residuals ``[N]``; ``None`` if the matrix is not definite."""
        factor = self._factored(damping)
        if factor is None:
            return None
        side = residuals if self.dual else self._s.combined(residuals)
        found = torch.cholesky_solve(side[:, None], factor)[:, 0]
        return self._s.combined(found) if self.dual else found

    def along(self, step: Tensor) -> Tensor:
        """``S step`` ``[N]``."""
        return self._s.along(step)

    def _factored(self, damping: float) -> Tensor | None:
        if self._factor is None or self._factor[0] != damping:
            shifted = self._gram.clone()
            shifted.diagonal().add_(damping)
            found, info = torch.linalg.cholesky_ex(shifted)
            self._factor = damping, found if int(info) == 0 else None
        return self._factor[1]
