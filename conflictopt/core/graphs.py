"""Backward graphs: which losses share one, and in which order to walk them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor
from torch.autograd.graph import Node

from .errors import MethodError
from .torch_internals import leaf_hooks, run_backward

Key = TypeVar("Key", bound=Hashable)


_REENTRANT = "CheckpointFunctionBackward"


def walk(*losses: Tensor) -> tuple[set[Node], set[Node]]:
    """The nodes behind losses: inner ones, which hold saved tensors, and gradient accumulators."""
    inner: set[Node] = set()
    leaves: set[Node] = set()
    waiting = [loss.grad_fn for loss in losses if loss.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        edges = node.next_functions
        if not edges:
            leaves.add(node)
        elif node not in inner:
            inner.add(node)
            waiting.extend(n for n, _ in edges if n is not None)
    return inner, leaves


def passes(graphs: Mapping[Key, set[Any]]) -> list[tuple[Key, bool]]:
    """The order of one backward pass per loss, and whether each must retain its graph.

    Where graphs share nodes, smaller ones come first, so that the last pass, which retains
    nothing, frees the largest part of what is shared.
    """
    order = retain(graphs)
    if not any(kept for _, kept in order):
        return order
    return retain(dict(sorted(graphs.items(), key=lambda item: len(item[1]))))


def check_seen_whole(nodes: set[Node]) -> None:
    """Check that gradients can be asked for by name, as those of each loss are.

    Reentrant checkpoints run their layers in a backward pass within the backward pass, which only
    a full one reaches; asked by name, torch leaves these layers out without a word.

    Raises:
        MethodError: some layers are behind such a checkpoint.
    """
    if any(kind.__name__ == _REENTRANT for kind in set(map(type, nodes))):
        raise MethodError(
            "expected losses whose gradients can be taken one by one, found layers behind "
            "torch.utils.checkpoint.checkpoint(..., use_reentrant=True), which only a full "
            "backward pass reaches. Set use_reentrant=False, or use 'sum'."
        )


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


@contextmanager
def asked_by_name(leaves: Iterable[Tensor]) -> Iterator[None]:
    """Around backward passes whose gradients are not the final ones of these leaves.

    Hooks on a leaf (a clip, a mask) are for the gradient that it ends up with, once. They stand
    aside here, and act when that is accumulated.

    Raises:
        MethodError: a compiled network has given away what a second pass needs.
    """
    hooked = [(hooks, dict(hooks)) for leaf in leaves if (hooks := leaf_hooks(leaf))]
    for hooks, _ in hooked:
        hooks.clear()
    try:
        with _several_passes():
            yield
    finally:
        for hooks, kept in hooked:
            hooks.update(kept)


@contextmanager
def _several_passes() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "donated" not in str(error):
            raise
        raise MethodError(
            "this step needs several backward passes through a compiled network, and its compiled "
            "backward pass gives its buffers away in the first. Set "
            "torch._functorch.config.donated_buffer = False before the network is first called, "
            f"or give each loss a forward pass of its own. torch says: {error}"
        ) from error


def gradient(
    loss: Tensor, params: tuple[Tensor, ...], retain_graph: bool
) -> tuple[Tensor | None, ...]:
    """``torch.autograd.grad(loss, params, allow_unused=True)`` of one scalar, without hooks."""
    with asked_by_name(params):
        return one_pass(loss, params, retain_graph)


def one_pass(
    loss: Tensor, params: tuple[Tensor, ...], retain_graph: bool
) -> tuple[Tensor | None, ...]:
    """The same of several, within one ``asked_by_name``."""
    return run_backward(loss, params, retain_graph, accumulate=False)


def backward(loss: Tensor, params: tuple[Tensor, ...] = (), retain_graph: bool = False) -> None:
    """``torch.autograd.backward(loss, inputs=params)`` of one scalar; for every leaf if empty.

    Raises:
        MethodError: see ``asked_by_name``.
    """
    with _several_passes():
        run_backward(loss, params, retain_graph, accumulate=True)


def reached(loss: Tensor, params: Iterable[Tensor]) -> list[bool]:
    """Per parameter whether the loss depends on it at all."""
    found = {id(leaf.variable) for leaf in walk(loss)[1] if hasattr(leaf, "variable")}
    found.add(id(loss))  # a loss may be a parameter itself, without a graph
    return [id(p) in found for p in params]
