"""How each method of a study is drawn, the same in every figure."""

from __future__ import annotations

from typing import Any

from ....plotting import BLUE, DASHES, GREEN, ORANGE, PURPLE, SKY, VERMILION
from ..label import is_auto
from ..study import Study

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#8C6D1F")
"""Without black (the baseline) and vermilion (``auto``); with a darkened yellow."""


def styles(study: Study) -> dict[str, dict[str, Any]]:
    """Colour and dashes of each method, the same in every figure.

    The baseline is black, ``auto`` vermilion and thicker; others go through the colours, then
    through the dashes.
    """
    found: dict[str, dict[str, Any]] = {}
    plain = [m for m in study.others if not is_auto(m)]
    for i, method in enumerate(plain):
        colour, dash = _COLOURS[i % len(_COLOURS)], DASHES[i // len(_COLOURS) % len(DASHES)]
        found[method] = {"color": colour, "linestyle": dash, "linewidth": 1.3}
    autos = [m for m in study.others if is_auto(m)]
    for i, method in enumerate(autos):
        dash = DASHES[i % len(DASHES)]
        found[method] = {"color": VERMILION, "linestyle": dash, "linewidth": 2.2, "zorder": 5}
    if study.has_baseline:
        found[study.baseline] = {"color": "black", "linewidth": 1.8, "zorder": 4}
    return found
