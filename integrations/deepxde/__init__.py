"""DeepXDE (PyTorch backend): patch a model, run an unmodified script.

Importing this package does not import deepxde, whose backend is fixed by the environment at the
moment of import; the first use of a name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .controller import Patch
    from .errors import PatchError
    from .patching import patch, unpatch

__all__ = ["Patch", "PatchError", "patch", "unpatch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import errors, patching

    return getattr(errors if name == "PatchError" else patching, name)
