"""Values as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

NonFinite = Literal["null", "text"]


def plain_data(value: Any, nonfinite: NonFinite) -> Any:
    """Data as JSON gives it back: lists for tuples, text for keys, no NaN and no infinity.

    JSON has no words for numbers that are not finite. Where numbers are measured and computed with,
    in the records of a study, ``null`` stands for them: there is no such number. Where they are an
    answer by themselves, as options of methods (``cap=inf`` is no cap) and outcomes told to a
    reader, it is the text ``"inf"``, ``"-inf"`` or ``"nan"``, which ``float`` reads.

    Args:
        value: mappings, lists, tuples, and what JSON knows.
        nonfinite: ``"null"`` for measurements, ``"text"`` for answers.
    """
    if isinstance(value, Mapping):
        return {str(k): plain_data(v, nonfinite) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(v, nonfinite) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if nonfinite == "null" else str(float(value))
    return value
