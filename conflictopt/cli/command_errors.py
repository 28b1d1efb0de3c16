"""What every command does with an error of its own."""

from __future__ import annotations

from collections.abc import Callable

import typer
from rich.console import Console
from rich.markup import escape

from ..core.errors import ConflictOptError


def guarded(action: Callable[[], int | None]) -> None:
    """Do what a command does; its errors are printed and end it with status 2.

    Args:
        action: returns the exit status, or nothing for 0.
    """
    try:
        code = action()
    except (ConflictOptError, OSError) as error:
        console = Console(stderr=True, highlight=False)
        console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(2) from None
    if code:
        raise typer.Exit(code)
