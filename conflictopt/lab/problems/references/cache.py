"""Arrays that take seconds to compute, kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from joblib import Memory
from numpy.typing import NDArray

from .reference_error import ReferenceSolutionError

VARIABLE = "CONFLICTOPT_CACHE"


def folder() -> Path:
    """Where arrays are kept: ``$CONFLICTOPT_CACHE``, else the user's cache folder."""
    chosen = os.environ.get(VARIABLE) or platformdirs.user_cache_dir("conflictopt")
    return Path(chosen).expanduser()


def stored(key: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """What ``compute`` returned the first time for this key, in this process or another.

    Files are written beside their place and then moved there, so that processes computing the
    same at once do no harm. A file that cannot be read, or whose checksum is wrong, is computed
    again.

    Args:
        key: everything that the array depends on.
        compute: makes the array.

    Raises:
        ReferenceSolutionError: the folder cannot be made.
    """
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        memory = Memory(place, verbose=0, compress=1)
    except OSError as error:
        raise ReferenceSolutionError(
            f"cannot keep solutions in '{place}' ({error.strerror}); set {VARIABLE} to a folder "
            "that can be written."
        ) from error
    array: NDArray[Any] = memory.cache(_computed, ignore=["compute"])(key, compute)
    return array


def _computed(_key: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    # joblib empties the store when this source changes, so it does nothing by itself
    return np.ascontiguousarray(compute())
