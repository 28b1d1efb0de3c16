"""The process around a script: command line, working directory, random numbers, no windows."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch


def begin_with(seed: int) -> None:
    """Seed what DeepXDE draws points and weights with."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the generator that DeepXDE and scripts use)
    torch.manual_seed(seed)


@contextmanager
def as_main(path: Path, arguments: list[str]) -> Iterator[None]:
    """``sys.argv`` and ``sys.path`` as ``python SCRIPT.py ARGS`` sets them.

    Afterwards the working directory is what it was: a script may have left for another, and what is
    written next is named from here.
    """
    argv, search, here = sys.argv, sys.path[:], Path.cwd()
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.resolve().parent)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, search
        with suppress(FileNotFoundError):  # the script may have removed it
            os.chdir(here)


@contextmanager
def exits_in_order() -> Iterator[None]:
    """``os._exit`` of the script is its end, not that of the process, which has to report yet.

    Scripts end so after CUDA or MPI. Children that it forks, and threads, leave as ever.
    """
    leave, process = os._exit, os.getpid()

    def end(status: int) -> NoReturn:
        if os.getpid() != process or threading.current_thread() is not threading.main_thread():
            leave(status)
        raise SystemExit(status)

    os._exit = end
    try:
        yield
    finally:
        os._exit = leave


_LEFT_OPEN: list[Any] = []
"""Streams that scripts made: those that lie on ours would close them when they are let go."""


@contextmanager
def streams_kept() -> Iterator[None]:
    """Afterwards standard output and error go where they went, whatever the script did to them."""
    kept = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    places = {name: _descriptor(stream) for name, stream in kept.items()}
    copies = {name: os.dup(n) for name, n in places.items() if n is not None}
    try:
        yield
    finally:
        for name, stream in kept.items():
            own = getattr(sys, name)
            with suppress(OSError, ValueError):
                own.flush()
            place = places[name]
            if place is None:
                setattr(sys, name, stream)
                continue
            os.dup2(copies[name], place)
            if own is not stream or _descriptor(stream) != place:
                _LEFT_OPEN.append(own)
                setattr(sys, name, os.fdopen(copies[name], "w", encoding="utf-8"))
            else:
                os.close(copies[name])


def _descriptor(stream: Any) -> int | None:
    try:
        found: int = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None  # closed before, or a stand-in
    return found


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
