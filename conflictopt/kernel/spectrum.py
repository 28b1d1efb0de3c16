"""Eigenvalues of a kernel matrix, and numbers that sum them up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The spectrum of ``K_kk``.

    Under the gradient flow of this loss alone ``d rho / dt = -2 K_kk rho``: the part of the
    residuals along eigenvector i decays at rate ``2 lambda_i`` while the kernel stays as it is.
    Small eigenvalues belong to high frequencies, which is spectral bias.
    Source: Wang, Yu, Perdikaris 2022 (arXiv 2007.14527).

    Attributes:
        eigenvalues: ``[n]``, descending; what rounding made negative is 0.
    """

    eigenvalues: Array

    @classmethod
    def of(cls, matrix: Array) -> Spectrum:
        """The spectrum of a symmetric positive semi-definite matrix ``[n, n]``."""
        return cls(np.linalg.eigvalsh(matrix)[::-1].clip(min=0.0))

    @property
    def trace(self) -> float:
        """``sum_i lambda_i``."""
        return float(self.eigenvalues.sum())

    @property
    def rank(self) -> int:
        """Number of eigenvalues above ``n eps lambda_1``, i.e. above rounding in float64."""
        lam = self.eigenvalues
        return int((lam > len(lam) * np.finfo(np.float64).eps * lam[0]).sum())

    @property
    def condition(self) -> float:
        """``lambda_1 / lambda_n``; infinite where ``rank`` is below n."""
        full = self.rank == len(self.eigenvalues)
        return float(self.eigenvalues[0] / self.eigenvalues[-1]) if full else float("inf")

    @property
    def effective_rank(self) -> float:
        """``exp(-sum_i p_i log p_i)`` with ``p_i = lambda_i / trace``, in [1, n].

        0 for a zero matrix.
        Source: Roy and Vetterli, EUSIPCO 2007.
        """
        if not self.trace:
            return 0.0
        p = self.eigenvalues / self.trace
        p = p[p > 0]
        return float(np.exp(-(p * np.log(p)).sum()))
