"""The process around a script: its command line, its random numbers, no windows."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch


def begin_with(seed: int) -> None:
    """Seed what DeepXDE draws points and weights with."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the generator that DeepXDE and scripts use)
    torch.manual_seed(seed)


@contextmanager
def as_main(path: Path, arguments: list[str]) -> Iterator[None]:
    """``sys.argv`` and ``sys.path`` as ``python SCRIPT.py ARGS`` sets them."""
    argv, search = sys.argv, sys.path[:]
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.resolve().parent)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, search


@contextmanager
def no_windows() -> Iterator[None]:
    """Figures are drawn and saved as usual, but never shown."""
    import matplotlib
    import matplotlib.pyplot as plt

    def nothing(*_args: Any, **_kwargs: Any) -> None:
        return None

    kept = matplotlib.use, plt.show, plt.switch_backend
    # pyplot loads its backend when first used, through the function replaced below: load it now
    plt.switch_backend("Agg")
    matplotlib.use, plt.show, plt.switch_backend = nothing, nothing, nothing
    try:
        yield
    finally:
        matplotlib.use, plt.show, plt.switch_backend = kept
