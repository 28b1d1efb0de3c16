"""Residuals point by point, and losses whose points carry weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .errors import MethodError
from .losses import FIXED, Losses, Residual


@dataclass(frozen=True)
class PointSet:
    """One residual of a loss, without graph.

    Attributes:
        residuals: ``[N, m]``: at N collocation points, m entries each.
        points: ``[N, d]`` coordinates; ``None`` if they are not known.
        weight: w, of the mean square of the residuals in the loss.
    """

    residuals: Tensor
    points: Tensor | None
    weight: float = 1.0


PointSets = dict[str, tuple[PointSet, ...]]
"""Per loss name its residuals."""
PointWeights = dict[str, tuple[Tensor, ...]]
"""Per loss name and residual ``[N, m]`` weights of the squared entries."""


def point_sets(losses: Losses, names: Sequence[str] | None = None) -> PointSets:
    """The residuals of losses, of all or of those named, and where they were taken.

    Raises:
        MethodError: a loss has none, or is not their mean square; see ``Losses.residual_pairs``.
    """
    sets: PointSets = {}
    for k, name in enumerate(losses.names):
        if names is not None and name not in names:
            continue
        pairs = losses.residual_pairs(k)
        where = losses.points.get(name) or (None,) * len(pairs)
        sets[name] = tuple(
            PointSet(_table(r), _coordinates(name, r, x), w)
            for (r, w), x in zip(pairs, where, strict=True)
        )
    return sets


def weighted(losses: Losses, weights: PointWeights) -> Losses:
    """The losses with every squared residual entry times its weight; others as they are.

    One term per residual: a loss that was one term of several residuals becomes several terms.

    Raises:
        MethodError: weights and residuals do not have one shape.
    """
    terms: list[Tensor] = []
    groups: list[int] = []
    graphs: list[int] = []
    residuals = dict(losses.residuals)
    kept = [i for i, g in enumerate(losses.groups) if g == FIXED or losses.names[g] not in weights]
    scalars = losses.scalars()
    for k, name in enumerate(losses.names):
        if name not in weights:
            continue
        pairs = losses.residuals.get(name, ())
        _check_shapes(name, pairs, weights[name])
        own = [i for i, g in enumerate(losses.groups) if g == k]
        if len(own) not in (1, len(pairs)):
            raise MethodError(f"loss '{name}' has {len(own)} terms, but {len(pairs)} residuals.")
        roots = [r * _like(w, r).sqrt() for (r, _), w in zip(pairs, weights[name], strict=True)]
        residuals[name] = tuple((r, w) for r, (_, w) in zip(roots, pairs, strict=True))
        for j, ((r, w), lam) in enumerate(zip(pairs, weights[name], strict=True)):
            terms.append(w * (_like(lam, r) * r.square()).mean())
            groups.append(k)
            if losses.graphs is not None:
                graphs.append(losses.graphs[own[j if len(own) > 1 else 0]])
    for i in kept:
        terms.append(scalars[i])
        groups.append(losses.groups[i])
        if losses.graphs is not None:
            graphs.append(losses.graphs[i])
    return replace(
        losses,
        terms=tuple(terms),
        groups=tuple(groups),
        residuals=residuals,
        graphs=tuple(graphs) if losses.graphs is not None else None,
        unstacked=None,
    )


def check_same_points(before: Mapping[str, tuple[Tensor | None, ...]], losses: Losses) -> None:
    """Check that losses are taken at the points of an earlier evaluation, in the same order.

    Raises:
        MethodError: they are not.
    """
    now = losses.points
    if before is now:
        return
    for name in before.keys() | now.keys():
        pairs = zip(before.get(name, ()), now.get(name, ()), strict=False)
        same = len(before.get(name, ())) == len(now.get(name, ())) and all(
            a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs
        )
        if not same:
            raise MethodError(
                f"expected the loss '{name}' at the same points throughout a step, to which its "
                "weights belong, found others. Call backward() once per step."
            )


def _check_shapes(name: str, pairs: Sequence[Residual], weights: Sequence[Tensor]) -> None:
    found, expected = [r.numel() for r, _ in pairs], [w.numel() for w in weights]
    if found != expected:
        raise MethodError(
            f"expected residuals of loss '{name}' with {expected} entries, to which this step's "
            f"point weights belong, found {found}: use the same points within a step."
        )


def _table(residual: Tensor) -> Tensor:
    r = residual.detach()
    return r.reshape(len(r), -1) if r.ndim else r.reshape(1, 1)


def _like(weights: Tensor, residual: Tensor) -> Tensor:
    return weights.reshape(residual.shape)


def _coordinates(name: str, residual: Tensor, points: Tensor | None) -> Tensor | None:
    if points is None:
        return None
    x, count = points.detach(), len(_table(residual))
    if x.ndim == 0 or len(x) != count:
        raise MethodError(
            f"expected one collocation point per residual of loss '{name}', found points of shape "
            f"{tuple(x.shape)} for {count} residuals."
        )
    if not bool(x.isfinite().all()):
        raise MethodError(f"expected finite collocation points of loss '{name}', found inf or nan.")
    return x.reshape(count, -1).to(residual)
