"""Per-loss low-rank adapters on a shared trunk."""

from .attachment import Adapters, attach, attached, detach
from .design import AdapterDesign
from .merging import merge
from .storage import load_adapters, save_adapters, saved_adapters

__all__ = [
    "AdapterDesign",
    "Adapters",
    "attach",
    "attached",
    "detach",
    "load_adapters",
    "merge",
    "save_adapters",
    "saved_adapters",
]
