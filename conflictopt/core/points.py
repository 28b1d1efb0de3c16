"""Residuals point by point, and losses whose points carry weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from .errors import MethodError
from .losses import FIXED, Losses, Residual


@dataclass(frozen=True)
class PointSet:
    """One residual of a loss, without graph.

    Attributes:
        residuals: ``[N, m]``: at N collocation points, m entries each.
        points: ``[N, d]`` coordinates; ``None`` if they are not known.
    """

    residuals: Tensor
    points: Tensor | None


PointSets = dict[str, tuple[PointSet, ...]]
"""Per loss name its residuals."""
PointWeights = dict[str, tuple[Tensor, ...]]
"""Per loss name and residual ``[N, m]`` weights of the squared entries."""


def point_sets(losses: Losses) -> PointSets:
    """The residuals of losses, and where they were taken.

    Raises:
        MethodError: a loss has none, or is not their mean square; see ``Losses.residual_pairs``.
    """
    sets: PointSets = {}
    for k, name in enumerate(losses.names):
        pairs = losses.residual_pairs(k)
        where = losses.points.get(name) or (None,) * len(pairs)
        sets[name] = tuple(
            PointSet(_table(r), _coordinates(name, r, x))
            for (r, _), x in zip(pairs, where, strict=True)
        )
    return sets


def weighted(losses: Losses, weights: PointWeights) -> Losses:
    """The losses with every squared residual entry times its weight.

    One term per residual: a loss that was one term of several residuals becomes several terms.
    """
    terms: list[Tensor] = []
    groups: list[int] = []
    graphs: list[int] = []
    residuals: dict[str, tuple[Residual, ...]] = {}
    scalars = losses.scalars()
    for k, name in enumerate(losses.names):
        pairs = losses.residual_pairs(k)
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
    for i, g in enumerate(losses.groups):
        if g == FIXED:
            terms.append(scalars[i])
            groups.append(g)
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


def _table(residual: Tensor) -> Tensor:
    r = residual.detach()
    return r.reshape(len(r), -1) if r.ndim else r.reshape(1, 1)


def _like(weights: Tensor, residual: Tensor) -> Tensor:
    return weights.reshape(residual.shape)


def _coordinates(name: str, residual: Tensor, points: Tensor | None) -> Tensor | None:
    if points is None:
        return None
    x, count = points.detach(), len(_table(residual))
    x = x.reshape(len(x), -1)
    if len(x) != count:
        raise MethodError(
            f"expected one collocation point per residual of loss '{name}', found {len(x)} points "
            f"for {count} residuals."
        )
    return x.to(residual)
