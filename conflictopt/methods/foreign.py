"""Aggregators of other packages: found by entry point, so that none of them is imported here."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from ..core.aggregator import Aggregator
from ..core.errors import MethodError

GROUP = "conflictopt.aggregators"
"""Entry points named as a package's top-level module: ``f(object) -> Aggregator``."""


def adopt(method: Any) -> Aggregator:
    """An aggregator as it is, or made from another package's object.

    Raises:
        TypeError: neither; the message says what is accepted.
    """
    if isinstance(method, Aggregator):
        return method
    # a user's own class may derive from one of theirs
    packages = {base.__module__.partition(".")[0] for base in type(method).__mro__}
    found = [e for e in entry_points(group=GROUP) if e.name in packages]
    if not found:
        known = ", ".join(sorted(e.name for e in entry_points(group=GROUP)))
        raise TypeError(
            f"expected an aggregator, its name, or an object of {known}, found "
            f"{type(method).__name__}."
        )
    made: Aggregator = found[0].load()(method)
    return made


def adopted(what: str, method: Any) -> Aggregator:
    """An object of any package as an aggregator.

    Raises:
        MethodError: an object that is none.
    """
    try:
        return adopt(method)
    except TypeError as error:
        raise MethodError(f"as {what}: {error}") from error
