"""DeepXDE (PyTorch backend): patch a model, run an unmodified script."""

from .errors import PatchError
from .patch import Patch, patch, unpatch

__all__ = ["Patch", "PatchError", "patch", "unpatch"]
