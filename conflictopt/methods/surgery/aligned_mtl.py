"""Alignment of the gradients' principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...core.errors import MethodError
from ._base import GramianSurgery, NormalForm
from ._rounding import NOISE


@dataclass(frozen=True)
class AlignedMTL(GramianSurgery):
    """Give all principal components of the gradients one length, then sum.

    Formula: ``d = sum_k a_k g_k``, ``a = sqrt(s) G^{-1/2} 1``, G the Gramian; s is its smallest
    (``"min"``), median or mean eigenvalue (``"rmse"``). The balanced gradients ``B J`` have the
    Gramian s times the identity.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Senushkin, Patakin, Kuznetsov, Konushin, CVPR 2023, arXiv 2305.19000.
    Differs: the root is by a Jacobi method that is accurate for each singular value relative to
    itself, where an eigenvalue solver loses those of gradients a million times smaller than the
    largest; components that come from linear dependence of the unit gradients are left
    out, as the authors do by a tolerance relative to the largest. Not conflict-free. With
    ``"min"`` the update is as small as the smallest component.

    Args:
        blocks, verify: see ``GramianSurgery``.
        scale: ``"min"``, ``"median"`` or ``"rmse"``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "aligned_mtl")
    >>> opt.step({"a": 3 * w[0], "b": w[1]})         # both components get length 1
    >>> [round(x, 6) for x in (-w).tolist()]
    [1.0, 1.0]
    """

    scale: Literal["min", "median", "rmse"] = "min"

    source = "Senushkin, Patakin, Kuznetsov, Konushin 2023 (arXiv 2305.19000)"
    claim = "balanced gradients are orthogonal and of one length; conflict may remain"
    signed = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale not in ("min", "median", "rmse"):
            raise MethodError(f"expected scale='min', 'median' or 'rmse', found {self.scale!r}.")

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        from scipy.linalg.lapack import dgejsv

        from ..cone import factor

        norms = problem.sizes
        root, size = factor(problem.gramian), norms.max()
        # column k has the entries of g_k in an orthonormal basis: G = Y^T Y, Y = R S L^T
        y = root * (norms / size)
        sva, left, right, work, _, info = dgejsv(
            y.T, joba=2, jobu=0, jobv=0, jobr=0, jobt=0, jobp=0
        )
        assert info == 0, f"LAPACK dgejsv: {info}"
        sizes = sva * work[0] / work[1]
        if np.abs(left.sum(axis=0)).max() <= NOISE * torch.finfo(problem.view.spec.dtype).eps:
            return problem.stationary()  # the gradients cancel, and so do their components
        squares = sizes**2
        s = {"min": squares.min, "median": lambda: np.median(squares), "rmse": squares.mean}
        if len(root) == len(norms):
            # G^{-1/2} = Y^{-1} (R L^T), and Y is root times the norms: nothing graded is inverted
            a = np.linalg.solve(root, right @ left.sum(axis=0)) / norms * size
        else:
            a = left @ (left.sum(axis=0) / sizes)
        coefficients: list[float] = (float(s[self.scale]()) ** 0.5 * a).tolist()
        return coefficients
