"""Finds the integration that runs scripts, without importing it at start-up."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from ..core.errors import ConflictOptError

GROUP = "conflictopt.scripts"


def script_runner(host: str = "deepxde") -> Any:
    """The ``ScriptRun`` class of an installed integration.

    Raises:
        ConflictOptError: none is installed under that name.
    """
    for point in entry_points(group=GROUP):
        if point.name == host:
            return point.load()
    raise ConflictOptError(
        f"no integration '{host}' is installed (entry point group '{GROUP}'). "
        "Install the package: pip install conflictopt."
    )
