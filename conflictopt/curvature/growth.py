"""How many rows a step is made of, by the progress that steps make."""

from __future__ import annotations

import math
from typing import Any

from .options import CurvatureOptions

_MEMORY = 0.8
"""How much of the running mean a step keeps."""

_PATIENCE = 25
"""Steps without progress after which there are more rows."""

_PROGRESS = 0.1
"""What counts: a fall of the mean logarithm of the loss."""


def first_rows(options: CurvatureOptions) -> dict[str, Any]:
    """State before the first step."""
    return {"rows": options.rows, "level": None, "best": math.inf, "waited": 0}


def grow(state: dict[str, Any], loss: float, options: CurvatureOptions) -> None:
    """Give steps more rows where the loss on fresh rows has stopped falling.

    A step that is made of few rows undoes what those before did for others. While it falls all the
    same, few rows are the cheapest.

    Args:
        state: of ``first_rows``; changed.
        loss: on the step's rows, before it.
        options: how far, and how fast.
    """
    if state["rows"] is None or loss <= 0:
        return
    now = math.log(loss)
    state["level"] = now if state["level"] is None else _mean(state["level"], now)
    if state["level"] < state["best"] - _PROGRESS:
        state.update(best=state["level"], waited=0)
        return
    state["waited"] += 1
    if state["waited"] >= _PATIENCE and state["rows"] < options.most_rows:
        more = min(math.ceil(options.growth * state["rows"]), options.most_rows)
        state.update(rows=more, best=state["level"], waited=0)


def _mean(before: float, now: float) -> float:
    return _MEMORY * before + (1 - _MEMORY) * now
