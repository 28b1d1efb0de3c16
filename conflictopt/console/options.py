"""``--option key=value`` into keyword arguments."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

from ..core.errors import MethodError


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``["momentum=0.5", "form=one_sided"]`` -> ``{"momentum": 0.5, "form": "one_sided"}``.

    Values are Python literals or ``inf``; anything else is a string.

    Raises:
        MethodError: an item without ``=``, or a key given twice.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise MethodError(f"expected --option key=value, found '{pair}'.")
        if key in options:
            raise MethodError(f"option '{key}' is given twice.")
        if text == "inf":
            options[key] = math.inf
            continue
        try:
            options[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[key] = text
    return options
