"""Whether an update is what its method claims, and what to do if it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._normal_form import Claim, NormalForm

_COSINE = 1e-6
"""Cosines that differ by less are the same to the accuracy of float32 gradients."""


def verified(
    problem: NormalForm, coefficients: Sequence[float], claims: Claim, label: str
) -> Sequence[float]:
    """Coefficients as they are, or those of the nearest update without conflict.

    Args:
        problem: what was solved.
        coefficients: the solution.
        claims: what it should have, beside no conflict.
        label: name of the method, for the report.
    """
    u, n = problem.gramian, problem.sizes
    beta = np.array(coefficients) * n
    along = u @ beta
    size = math.sqrt(max(0.0, float(beta @ along)))
    # d = 0 conflicts with nothing; below rounding of the terms it is made of, d is 0
    if size <= 1e-12 * float(np.abs(beta).sum()):
        return coefficients
    cosines = along / size
    wrong = []
    conflicts = cosines.min() < -_COSINE
    if conflicts:
        wrong.append(f"cosine {cosines.min():.2g} to '{problem.name(int(cosines.argmin()))}'")
    if claims & Claim.EQUAL_COSINES and cosines.max() - cosines.min() > _COSINE:
        wrong.append(f"cosines from {cosines.min():.2g} to {cosines.max():.2g}")
    if claims & Claim.MINIMUM_NORM and not _is_shortest(along * n, size**2, coefficients):
        wrong.append("not the shortest convex combination")
    if not wrong:
        return coefficients
    done = "taking the nearest update without conflict" if conflicts else "it conflicts with none"
    problem.view.report("verify", f"{label}: {' and '.join(wrong)}; {done}.")
    if not conflicts:
        return coefficients
    from ..cone import nearest

    projected: list[float] = ((beta + nearest(u, along)) / n).tolist()
    return projected


def _is_shortest(products: NDArray[np.float64], square: float, weights: Sequence[float]) -> bool:
    """Whether ``g_k . d >= |d|^2``, with weights in the simplex: that holds for one d only."""
    inside = min(weights) >= 0 and abs(sum(weights) - 1) <= _COSINE
    return inside and bool(products.min() >= square * (1 - _COSINE))
