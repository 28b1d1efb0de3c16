"""From a plan to the method that carries it out."""

from __future__ import annotations

from .core.aggregator import Aggregator
from .core.chain import Chain
from .diagnosis.selection import Plan
from .registry import make


def treatment(plan: Plan, reweighting: Aggregator, routing: Aggregator) -> Aggregator:
    """The method of a plan.

    Args:
        plan: of a diagnosis.
        reweighting, routing: what plans use, as far as they use them.
    """
    if plan.kind == "none":
        return make("sum")
    return Chain(reweighting, routing) if plan.adapters else reweighting
