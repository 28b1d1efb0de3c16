"""Backward graphs: which losses share one, and in which order to walk them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

from torch import Tensor
from torch.autograd.graph import Node

from .torch_internals import run_backward

Key = TypeVar("Key", bound=Hashable)


def walk(loss: Tensor) -> tuple[set[Node], set[Node]]:
    """The nodes behind a loss: inner ones, which hold saved tensors, and gradient accumulators."""
    inner: set[Node] = set()
    leaves: set[Node] = set()
    waiting = [loss.grad_fn] if loss.grad_fn is not None else []
    while waiting:
        node = waiting.pop()
        edges = node.next_functions
        if not edges:
            leaves.add(node)
        elif node not in inner:
            inner.add(node)
            waiting.extend(n for n, _ in edges if n is not None)
    return inner, leaves


def passes(losses: Mapping[Key, Tensor]) -> list[tuple[Key, bool]]:
    """The order of one backward pass per loss, and whether each must retain its graph.

    Where graphs share nodes, smaller ones come first, so that the last pass, which retains
    nothing, frees the largest part of what is shared.
    """
    if len(losses) == 1:
        return [(k, False) for k in losses]
    graphs = {k: walk(loss)[0] for k, loss in losses.items()}
    order = retain(graphs)
    if not any(kept for _, kept in order):
        return order
    return retain(dict(sorted(graphs.items(), key=lambda item: len(item[1]))))


def retain(graphs: Mapping[Key, set[Any]]) -> list[tuple[Key, bool]]:
    """Whether each of the passes, in this order, must retain its graph for one that comes later.

    Args:
        graphs: per loss what it is made of: nodes, or numbers of graphs that share nothing.
    """
    later: set[Any] = set()
    plan = []
    for k in reversed(list(graphs)):
        plan.append((k, not later.isdisjoint(graphs[k])))
        later |= graphs[k]
    return plan[::-1]


def gradient(
    loss: Tensor, params: tuple[Tensor, ...], retain_graph: bool
) -> tuple[Tensor | None, ...]:
    """``torch.autograd.grad(loss, params, allow_unused=True)`` of one scalar."""
    return run_backward(loss, params, retain_graph, accumulate=False)


def backward(loss: Tensor, params: tuple[Tensor, ...], retain_graph: bool = False) -> None:
    """``torch.autograd.backward(loss, inputs=params)`` of one scalar."""
    run_backward(loss, params, retain_graph, accumulate=True)


def reached(loss: Tensor, params: Iterable[Tensor]) -> list[bool]:
    """Per parameter whether the loss depends on it at all."""
    found = {id(leaf.variable) for leaf in walk(loss)[1] if hasattr(leaf, "variable")}
    found.add(id(loss))  # a loss may be a parameter itself, without a graph
    return [id(p) in found for p in params]
