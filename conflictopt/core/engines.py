"""Engines: how per-loss gradients are taken from losses with graph.

``graph`` takes one backward pass per loss, each through that loss's own graph. Where the graphs
share nothing, the passes together cost one backward pass of the sum.
``rows`` is ``graph`` on losses that a host evaluates apart, each from its own rows of a batch.
``batched`` takes all passes in one vectorised call, for devices bound by kernel launches.
``auto`` is ``rows`` where the losses can be evaluated apart, else ``graph``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from .errors import MethodError
from .graphs import one_pass, passes, reached

EngineName = Literal["auto", "graph", "rows", "batched"]
ENGINES = ("auto", "graph", "rows", "batched")

Graphs = Mapping[int, set[Any]]
"""Per loss its nodes, or numbers of graphs that share nothing."""
Row = tuple[int, Sequence[Tensor | None]]
"""A loss's index (or ``FIXED``) and its gradient per input, ``None`` where it has none."""


def check_engine(name: str) -> None:
    """Check the name of an engine.

    Raises:
        MethodError: unknown.
    """
    if name not in ENGINES:
        raise MethodError(f"expected an engine among {', '.join(ENGINES)}, found {name!r}.")


def one_by_one(
    roots: dict[int, Tensor], inputs: tuple[Tensor, ...], free: bool, graphs: Graphs
) -> Iterator[Row]:
    """One backward pass per loss; what asks for them stands in ``graphs.asked_by_name``.

    Args:
        roots: the losses, by index; each is let go with its pass.
        inputs: what to differentiate for.
        free: whether the graphs may be freed; each then is as soon as no later pass needs it.
        graphs: per loss its nodes, or numbers of graphs that share nothing.
    """
    for k, keep in passes(graphs) if free else [(k, True) for k in roots]:
        yield k, one_pass(roots.pop(k), inputs, keep)


def all_at_once(roots: dict[int, Tensor], inputs: tuple[Tensor, ...], free: bool) -> Iterator[Row]:
    """One vectorised backward pass for all losses; see ``one_by_one``.

    Args:
        roots: the losses, by index.
        inputs: what to differentiate for.
        free: whether the graphs may be freed.

    Raises:
        MethodError: some operation of the graph cannot be vectorised.
    """
    stacked = torch.stack(list(roots.values()))
    eye = torch.eye(len(roots), dtype=stacked.dtype, device=stacked.device)
    used = [reached(root, inputs) for root in roots.values()]
    try:
        grads = torch.autograd.grad(
            stacked, inputs, eye, not free, allow_unused=True, is_grads_batched=True
        )
    except RuntimeError as error:
        raise MethodError(
            f"engine 'batched' cannot differentiate these losses; use 'graph'. torch says: {error}"
        ) from error
    for i, k in enumerate(roots):
        row = zip(grads, used[i], strict=True)
        yield k, [g[i] if g is not None and u else None for g, u in row]
