"""A progress bar of a study, with the time left."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

STATUSES = {"ok": "green", "diverged": "yellow", "failed": "bold red"}


class _TimeLeft(ProgressColumn):
    """Time left, if costs go on being paid at the mean rate so far."""

    def render(self, task: Task) -> Text:
        if not task.completed or task.elapsed is None or task.total is None:
            return Text("-:--:-- left")
        left = task.elapsed * (task.total - task.completed) / task.completed
        return Text(f"{timedelta(seconds=round(left))} left")


@contextmanager
def study_progress(console: Console, planned: Sequence[Any]) -> Iterator[Callable[[Any], None]]:
    """Yields a listener ``f(result)`` for the runs of a plan that are to be done.

    On a terminal a bar of costs, not of runs: the longest runs come first. Elsewhere a line for
    each run.
    """
    costs = {id(p.task): p.cost for p in planned if p.kept is None}
    counts: Counter[str] = Counter()
    columns = (BarColumn(bar_width=24), TextColumn("{task.description}"))
    with Progress(
        *columns,
        TimeElapsedColumn(),
        _TimeLeft(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty() and console.is_terminal,
        redirect_stderr=False,
    ) as progress:
        bar = progress.add_task(f"0/{len(costs)} runs", total=sum(costs.values()))

        def tell(result: Any) -> None:
            counts[result.status] += 1
            done = f"{sum(counts.values())}/{len(costs)} runs"
            if not console.is_terminal or result.status == "failed":
                console.print(f"{done}  {line(result)}", soft_wrap=True)
            text = f"{done}  {counts_text(counts)}"
            progress.update(bar, description=text, advance=costs[id(result.task)])

        yield tell


def line(result: Any) -> str:
    """One run, with markup."""
    style = STATUSES[result.status]
    text = f"{escape(result.task.label)}: [{style}]{result.status}[/]"
    text += f", error {result.error:.3g}" if result.error is not None else ""
    return text + (f" ({escape(result.message)})" if result.message else "")


def counts_text(counts: Counter[str]) -> str:
    """How many runs of each status, with markup."""
    return ", ".join(f"[{s}]{counts[k]} {k}[/]" for k, s in STATUSES.items() if counts[k])
