"""The dual cone of K gradients: the directions that conflict with none of them.

Everything is said in the unit gradients ``u_i = g_i / |g_i|`` and their Gramian ``U`` alone, so
that norms that differ by any factor cost no accuracy. Other packages regularise the Gramian of the
gradients themselves, which swamps the small ones. Non-negative least squares (Lawson and Hanson
1974, in scipy's version) are an exact active-set method, and take no positive definite matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Vector = NDArray[np.floating[Any]]
Matrix = NDArray[np.floating[Any]]

_RANK = 1e-14
"""Eigenvalues of the unit Gramian below this, per gradient, are rounding."""
_WELL_CONDITIONED = 1e-6
"""Smallest squared pivot for which Cholesky's factor is as good as any."""
_RIDGE = 1e-5
"""Weight of the coefficients' length where gradients are dependent; it only chooses among them."""
_OPTIMAL = 1e-8
_INDEPENDENT = 1e-6
"""Sine of the angle to the others below which a unit gradient is dependent on them."""
_FEASIBLE = 1e-13
"""Squared sine of the angle below which no direction is common to all gradients."""


def factor(unit: Matrix) -> Matrix:
    """``[r, K]`` columns ``a_i`` with ``a_i . a_j = U_ij``: the gradients in r coordinates."""
    lower = _cholesky(unit)
    if lower is not None:
        return lower.T
    values, vectors = np.linalg.eigh(unit)
    keep = values > _RANK * len(unit)
    root: Matrix = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
    return root


def _cholesky(unit: Matrix) -> Matrix | None:
    """The lower factor; ``None`` if a pivot is too small for it to be accurate."""
    try:
        lower: Matrix = np.linalg.cholesky(unit)
    except np.linalg.LinAlgError:
        return None
    return lower if lower.diagonal().min() ** 2 >= _WELL_CONDITIONED else None


def nearest(unit: Matrix, along: Vector) -> Vector:
    """The point of the dual cone nearest to a vector ``x``.

    Args:
        unit: ``[K, K]`` unit Gramian.
        along: ``[K]`` products ``u_i . x``.

    Returns:
        ``[K]`` multipliers ``m >= 0``; the point is ``x + sum_i m_i u_i``.
    """
    if min(along) >= 0:
        return np.zeros(len(along))
    a = factor(unit)
    # the coordinates of x, as far as it lies in the span
    x = np.linalg.solve(a.T, along) if len(a) == len(along) else np.linalg.pinv(a.T) @ along
    return _nearest(a, x)


def nearest_to_rows(unit: Matrix) -> Matrix:
    """``[K, K]``: row i has the multipliers of the point nearest to ``u_i``; see ``nearest``."""
    a = factor(unit)
    found = np.zeros_like(unit)
    for i, row in enumerate(unit):
        if row.min() < 0:
            found[i] = _nearest(a, a[:, i])
    return found


def _nearest(a: Matrix, x: Vector) -> Vector:
    size = float(np.abs(x).max())
    dependent = len(a) < a.shape[1]
    return size * _nnls(a, -x / size, dependent) if size > 0 else np.zeros(a.shape[1])


def least(unit: Matrix, bounds: Sequence[float] | Vector) -> Vector | None:
    """The shortest vector with ``u_i . x >= bounds_i`` for all i.

    By the reduction of least distance to non-negative least squares (Lawson and Hanson 1974,
    chapter 23).

    Returns:
        ``[K]`` weights ``b >= 0`` with ``x = sum_i b_i u_i``; ``None`` if there is no such vector.
        Positive bounds have none where no direction is a descent direction of all losses.
    """
    h = np.asarray(bounds, dtype=np.float64)
    if h.max() <= 0:
        return np.zeros(len(h))
    size = np.abs(h).max()
    h = h / size
    if len(h) == 2:
        pair = _least_of_two(float(unit[0, 1]), float(h[0]), float(h[1]))
        return None if pair is None else size * np.array(pair)
    a = factor(unit)
    stacked = np.vstack([a, h])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    found = _nnls(stacked, target, dependent=len(a) < len(unit))
    slack = 1.0 - h @ found
    if slack <= _FEASIBLE:
        return None
    active = found > 0
    b = found / slack
    # the slack is a difference of nearly equal numbers when the cone is thin: solve once more
    exact = _solve(unit[np.ix_(active, active)], h[active])
    if (exact >= 0).all():
        b[active] = exact
    scaled: Vector = size * b
    return scaled


def _least_of_two(cosine: float, first: float, second: float) -> tuple[float, float] | None:
    """``least`` for two gradients, the most common case, in closed form."""
    if first > 0 and cosine * first >= second:
        return first, 0.0
    if second > 0 and cosine * second >= first:
        return 0.0, second
    if 1 + cosine <= _FEASIBLE:
        return None
    square = (1 - cosine) * (1 + cosine)
    return (first - cosine * second) / square, (second - cosine * first) / square


def _solve(matrix: Matrix, right: Vector) -> Vector:
    try:
        exact: Vector = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        exact = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return exact


def _nnls(a: Matrix, b: Vector, dependent: bool) -> Vector:
    """Non-negative least squares; of the many solutions for dependent columns a short one.

    Without that, opposite columns are found together, and with coefficients like 1e10: rounding
    errors divided by rounding errors.
    """
    count = a.shape[1]
    short = _short(a, b) if dependent else None
    if short is not None:
        return short
    solution: Vector = nnls(a, b, maxiter=100 * count)[0]
    return solution


def _short(a: Matrix, b: Vector) -> Vector | None:
    """A solution on independent columns; ``None`` if those that were chosen have none."""
    count = a.shape[1]
    ridge = np.vstack([a, _RIDGE * np.eye(count)])
    guess = nnls(ridge, np.concatenate([b, np.zeros(count)]), maxiter=100 * count)[0]
    chosen = _independent(a, guess)
    short = np.zeros(count)
    short[chosen] = np.linalg.lstsq(a[:, chosen], b, rcond=None)[0]
    # the conditions of Karush, Kuhn and Tucker
    optimal = bool((a.T @ (b - a @ short) <= _OPTIMAL * np.linalg.norm(b)).all())
    return short if optimal and bool((short >= 0).all()) else None


def _independent(a: Matrix, solution: Vector) -> list[int]:
    """Of the columns in a solution, the largest first, those that no others make up."""
    chosen: list[int] = []
    basis: list[Vector] = []
    for i in np.argsort(-solution):
        left = a[:, i] - sum((q @ a[:, i]) * q for q in basis)
        size = float(np.linalg.norm(left))
        if solution[i] > 0 and size > _INDEPENDENT:
            chosen.append(int(i))
            basis.append(left / size)
    return chosen
