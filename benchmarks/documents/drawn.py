"""Figures in files, which say what they show."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEY = "Shows"
"""Of the PNG file's text."""
_DIGITS = 6


def save(figure: Figure, path: Path) -> None:
    """Write a figure and, in the file's text, what it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={KEY: shown(figure)})


def shows(path: Path, figure: Figure) -> bool:
    """Whether a file was made of a figure like this, whatever the fonts of the machine."""
    if not path.exists():
        return False
    with Image.open(path) as found:
        return getattr(found, "text", {}).get(KEY) == shown(figure)


def shown(figure: Figure) -> str:
    """A digest of the data and words of a figure: not of pixels, which follow the fonts.

    Tick labels are left out: how many there are depends on their size.
    """
    words = [t.get_text() for t in (*figure.texts, *_legends(figure.legends))]
    parts = [repr(words), *(p for axes in figure.axes for p in _parts(axes))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _parts(axes: Axes) -> Iterator[str]:
    legend = axes.get_legend()
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    texts += _legends([legend] if legend else [])
    yield repr([t.get_text() for t in texts])
    for line in axes.lines:
        yield f"{_rounded(line.get_xydata())} {line.get_color()}"
    for patch in axes.patches:
        path = patch.get_patch_transform().transform_path(patch.get_path())
        yield f"{_rounded(path.vertices)} {patch.get_facecolor()}"
    for many in axes.collections:
        paths = [_rounded(p.vertices) for p in many.get_paths()]
        yield f"{_rounded(many.get_offsets())} {paths} {_rounded(many.get_array())}"
    for image in axes.images:
        yield _rounded(image.get_array())


def _legends(legends: Iterable[Any]) -> list[Any]:
    return [text for legend in legends for text in legend.get_texts()]


def _rounded(values: Any) -> str:
    if values is None:
        return "-"
    flat = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).ravel()
    return " ".join(f"{v:.{_DIGITS}g}" for v in flat)
