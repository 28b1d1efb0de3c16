"""Per-loss low-rank adapters on a shared trunk."""

from .low_rank import Adapters, attach, attached, detach, saved_adapters

__all__ = ["Adapters", "attach", "attached", "detach", "saved_adapters"]
