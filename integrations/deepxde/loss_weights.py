"""What a reader of the verdict should know of the model."""

from __future__ import annotations

from collections.abc import Sequence


def differ(weights: Sequence[float]) -> bool:
    """Whether the user weights the losses; a common factor is none of that."""
    return len(set(weights)) > 1


def weights_remark(weights: Sequence[float]) -> str:
    """Of the user's own weights, one per loss."""
    told = ", ".join(f"{w:g}" for w in weights)
    return (
        f"The script weights its losses itself (loss_weights: {told}). All numbers here are of the "
        "weighted losses; a method that reweights puts its own weights on top, which can undo "
        "yours, and 'ntk' does."
    )
