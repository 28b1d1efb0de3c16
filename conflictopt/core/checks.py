"""Checks of values that several methods and options share."""

from __future__ import annotations

import math
from typing import Any

from .errors import MethodError


def check_count(name: str, value: int) -> None:
    """Check a hyper-parameter that counts.

    Raises:
        MethodError: not a positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MethodError(f"expected {name} as a positive integer, found {value!r}.")


def is_number(value: Any) -> bool:
    """Whether a hyper-parameter is a finite number, and no truth value."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def check_share(name: str, value: float | None) -> None:
    """Check a hyper-parameter that is a share, or ``None`` for what is usual.

    Raises:
        MethodError: something else; the message names it.
    """
    if value is not None and not (is_number(value) and 0 <= value <= 1):
        raise MethodError(f"expected {name} as a number from 0 to 1, found {value!r}.")
