"""Leaves that losses reach and the optimizer does not hold.

``loss.backward()`` fills their ``.grad`` too: an unknown that has an optimizer of its own trains by
it. What no method aggregates gets the gradient of the plain sum of the losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.autograd.graph import Node

from .errors import LossError
from .graphs import reached

LEAVES = "leaves"
"""The kind of the note on them."""


def outside(leaves: Iterable[Node], params: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Leaves that are not among the parameters.

    Args:
        leaves: gradient accumulators, from ``graphs.walk``.
        params: the parameters.
    """
    held = set(map(id, params))
    found: list[Tensor] = [getattr(leaf, "variable") for leaf in leaves]  # noqa: B009
    return tuple(leaf for leaf in found if id(leaf) not in held)


def trained(leaves: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Of leaves, those that some other optimizer may train.

    Parameters, numbers and vectors. Other tensors are taken for points: nobody descends along
    their gradient, and for a reweighting it would cost a backward pass of its own.
    """
    return tuple(leaf for leaf in leaves if isinstance(leaf, nn.Parameter) or leaf.ndim < 2)


def points(leaves: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The others."""
    return tuple(leaf for leaf in leaves if not isinstance(leaf, nn.Parameter) and leaf.ndim > 1)


def sentence(leaves: Sequence[Tensor]) -> str:
    """What the user is told of them."""
    shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves)
    return (
        f"the losses reach leaves that the optimizer does not hold (shapes {shapes}): these get "
        "the gradient of the plain sum of the losses."
    )


def check_reached(losses: Iterable[Tensor], params: Sequence[Tensor]) -> None:
    """Check that losses depend on some parameter.

    Raises:
        LossError: on none.
    """
    if not any(any(reached(loss, params)) for loss in losses):
        raise LossError(
            "expected losses that reach a parameter of the optimizer, found none of its "
            f"{len(params)} reached: the step would train nothing. Was the optimizer built with "
            "the parameters of another network, or of this one before it was wrapped or sharded?"
        )
