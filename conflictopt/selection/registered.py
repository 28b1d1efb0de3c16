"""What the registry says of the methods of a plan, which may also be one's own."""

from __future__ import annotations

from ..core.aggregator import READS_RESIDUALS


def summary(name: str | None) -> str:
    """What a method does, in a clause."""
    # late: the registry is asked, no method imported
    from ..methods.registry import METHODS, describe

    if name not in METHODS:
        return "a method of your own"
    found = next(str(row["summary"]) for row in describe() if row["name"] == name)
    return found[0].lower() + found[1:].rstrip(".")


def reads_residuals(name: str) -> bool:
    """Whether a method needs the residuals beside the losses."""
    from ..methods.registry import METHODS, method_class

    return name in METHODS and bool(method_class(name).needs & READS_RESIDUALS)
