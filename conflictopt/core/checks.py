"""Checks of values that several methods and options share."""

from __future__ import annotations

from .errors import MethodError


def check_count(name: str, value: int) -> None:
    """Check a hyper-parameter that counts.

    Raises:
        MethodError: not a positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MethodError(f"expected {name} as a positive integer, found {value!r}.")
