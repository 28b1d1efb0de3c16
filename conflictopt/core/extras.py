"""Packages that an extra brings: what to say where one is missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from .errors import MissingExtraError


def require(extra: str, *modules: str) -> None:
    """See to it that the packages of an extra are there, without importing them.

    Args:
        extra: its name in this package's metadata.
        modules: top-level modules that it brings.

    Raises:
        MissingExtraError: one of them is not installed; the message says what to install.
    """
    for name in modules:
        if not _found(name):
            raise MissingExtraError(
                f"expected the packages of the extra '{extra}', found no module '{name}'; "
                f"install them with pip install 'conflictopt[{extra}]'."
            )


def _found(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
