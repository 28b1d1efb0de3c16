"""``conflictopt calibrate``. Declares the command; what it does is in ``conflictopt.cli``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ConflictOptError
from . import calibrate as console
from .command_errors import guarded


class Half(str, Enum):
    """Of the suite; see ``conflictopt.lab.problems.halves``."""

    calibration = "calibration"
    reporting = "reporting"


def calibrate(
    folder: Annotated[
        Path,
        typer.Argument(help="a study: its folder of records, or DIR.jsonl.gz", metavar="RECORDS"),
    ],
    out: Annotated[
        Path | None, typer.Option(help="file to write the rule to; rule.json unless given")
    ] = None,
    rule: Annotated[
        Path | None, typer.Option(help="judge the rule of this file on the records; fit none")
    ] = None,
    half: Annotated[
        Half | None, typer.Option(help="only problems of this half of the suite")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="candidates, joined by commas; all that plans can carry out unless given"
        ),
    ] = None,
    budget: Annotated[str | None, typer.Option(help="whose records, if there are several")] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="use records of several versions all the same")
    ] = False,
) -> None:
    """Fit the rule that chooses a plan to the records of a study, and say what it is worth.

    With --rule, say only what that rule is worth on records it was not fitted to.
    """
    selection = console.Selection(half.value if half else None, methods, budget, mixed)

    def action() -> None:
        if rule is None:
            console.calibrate(folder, out or Path("rule.json"), selection)
        elif out is not None:
            raise ConflictOptError("expected --out or --rule, found both: --rule fits nothing.")
        else:
            console.judge(folder, rule, selection)

    guarded(action)
