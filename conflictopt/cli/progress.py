"""A progress bar with the named losses of the model in training."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_REFRESH_SECONDS = 0.2


@contextmanager
def training_progress(console: Console, stop_at: int | None = None) -> Iterator[Any]:
    """Yields a listener ``f(patch)`` that shows steps and losses, one line per model.

    The bar fills towards ``stop_at``, or else the end of the script's present ``train`` call; an
    L-BFGS stage has no known end and only counts. Script output scrolls above it.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed} steps"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    # The script's output stays where it goes; only a terminal shared with the bar needs care.
    shared = sys.stdout.isatty() and console.is_terminal
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=shared, redirect_stderr=False
    ) as progress:
        tasks: dict[int, Any] = {}
        drawn = 0.0

        def show(patch: Any) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn < _REFRESH_SECONDS or patch.optimizer.last is None:
                return
            drawn = now
            if id(patch) not in tasks:
                tasks[id(patch)] = progress.add_task("", total=None, losses="")
            profiling = patch.method.records and patch.diagnosis is None
            progress.update(
                tasks[id(patch)],
                description="profiling" if profiling else "training",
                total=stop_at or patch.stage_end,
                completed=patch.steps,
                losses=_losses(patch.optimizer.last),
            )

        yield show


def _losses(last: Any) -> str:
    pairs = zip(last.names, last.losses.tolist(), strict=True)
    return "  ".join(f"{name} {value:.2e}" for name, value in pairs)
