"""Per-loss low-rank adapters on a shared trunk."""

from .low_rank import Adapters, attach, attached, detach

__all__ = ["Adapters", "attach", "attached", "detach"]
