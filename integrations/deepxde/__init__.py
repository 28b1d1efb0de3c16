"""DeepXDE (PyTorch backend): patch a model, run an unmodified script.

Importing this package does not import deepxde, whose backend is fixed by the environment at the
moment of import; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from conflictopt.core.extras import require

if TYPE_CHECKING:
    from .patch_errors import PatchError
    from .patch_model import patch, unpatch
    from .patched_model import Patch
    from .problems.problem import ProblemModel, model_of

require("deepxde", "deepxde")

__all__ = ["Patch", "PatchError", "ProblemModel", "model_of", "patch", "unpatch"]

_HOMES = {
    "PatchError": "patch_errors",
    "ProblemModel": "problems.problem",
    "model_of": "problems.problem",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOMES.get(name, 'patch_model')}")
    return getattr(home, name)
