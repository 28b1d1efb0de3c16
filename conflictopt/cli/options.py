"""``--option key=value`` into keyword arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..lab.runs.expression_text import key_values


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``["momentum=0.5", "form=one_sided"]`` -> ``{"momentum": 0.5, "form": "one_sided"}``.

    Values are Python literals or ``inf``; anything else is a string.

    Raises:
        MethodError: an item without ``=``, or a key given twice.
    """
    return key_values(pairs, "--option key=value")
