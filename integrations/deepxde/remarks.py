"""What a reader of the verdict should know of the model."""

from __future__ import annotations

from collections.abc import Sequence


def weights_remark(weights: Sequence[float]) -> str | None:
    """Of the user's own weights; ``None`` unless they differ.

    Args:
        weights: of the model, one per loss.
    """
    if len(set(weights)) < 2:
        return None
    told = ", ".join(f"{w:g}" for w in weights)
    return (
        f"The script weights its losses itself (loss_weights: {told}). All numbers here are of the "
        "weighted losses; a method that reweights puts its own weights on top, which can undo "
        "yours, and 'ntk' does."
    )
