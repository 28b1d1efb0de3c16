"""The text of method expressions: where it divides, and what a value says."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from typing import Any

from ..core.errors import MethodError

_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\+\d|.""", re.DOTALL)
"""A quoted text, a sign before a digit with it, or a character; a quote alone never closes."""
_OPEN, _CLOSE, _QUOTES = tuple("([{"), tuple(")]}"), ("'", '"')


def split(text: str, separator: str) -> list[str]:
    """Divide at a separator outside brackets and quotes; the parts without outer blanks.

    A ``+`` before a digit belongs to a number (``cap=1e+3``): names do not start with digits.

    Raises:
        MethodError: a bracket or a quote that is never closed.
    """
    parts, start, depth = [], 0, 0
    for token in _TOKEN.finditer(text):
        sign = token.group()
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if sign in _QUOTES or depth < 0:
            break
        if sign == separator and depth == 0:
            parts.append(text[start : token.start()].strip())
            start = token.end()
    else:
        if depth == 0:
            return [*parts, text[start:].strip()]
    raise MethodError(f"expected closed brackets and quotes, found '{text}'.")


def key_values(pairs: Sequence[str], form: str) -> dict[str, Any]:
    """``["momentum=0.5", "form=one_sided"]`` -> ``{"momentum": 0.5, "form": "one_sided"}``.

    Args:
        pairs: each ``key=value``.
        form: how the user writes one, for messages.

    Raises:
        MethodError: an item without ``=``, or a key given twice.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise MethodError(f"expected {form}, found '{pair}'.")
        if key in options:
            raise MethodError(f"option '{key}' is given twice.")
        options[key] = parse_value(text)
    return options


def parse_value(text: str) -> Any:
    """A Python literal or ``inf``; anything else is a string."""
    if text == "inf":
        return math.inf
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text


def value_text(value: Any) -> str:
    """The shortest text that ``split`` leaves whole and ``parse_value`` reads as this value."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_./-]+", value):
        return value if parse_value(value) == value else repr(value)
    return repr(value)
