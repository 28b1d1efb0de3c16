"""A progress bar with the named losses of the model in training."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..auto.patched_run import PatchedRun
from ..optim.last_step import LastStep

_REFRESH_SECONDS = 0.2


@contextmanager
def training_progress(
    console: Console, stop_at: int | None = None
) -> Iterator[Callable[[PatchedRun], None]]:
    """Yields a listener ``f(run)`` that shows steps and losses, one line per model.

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
        tasks: dict[int, TaskID] = {}
        drawn = 0.0

        def show(run: PatchedRun) -> None:
            nonlocal drawn
            now = time.monotonic()
            last = run.optimizer.last if run.optimizer is not None else None
            if now - drawn < _REFRESH_SECONDS or last is None:
                return
            drawn = now
            if id(run) not in tasks:
                tasks[id(run)] = progress.add_task("", total=None, losses="")
            profiling = run.method.records and run.diagnosis is None
            progress.update(
                tasks[id(run)],
                description="profiling" if profiling else "training",
                total=stop_at or run.stage_end,
                completed=run.steps,
                losses=_losses(last),
            )

        yield show


def _losses(last: LastStep) -> str:
    pairs = zip(last.names, last.losses.tolist(), strict=True)
    return "  ".join(f"{name} {value:.2e}" for name, value in pairs)
