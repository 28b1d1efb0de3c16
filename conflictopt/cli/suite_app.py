"""``conflictopt suite``. Declares commands; what they do is in ``conflictopt.cli``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..lab.runs.packs import folder_of
from . import packing, study, suite
from .command_errors import guarded

app = typer.Typer(help="Compare methods on a suite of 85 PDE problems.", no_args_is_help=True)


class Backend(str, Enum):
    """Where runs are run."""

    loky = "loky"
    dask = "dask"


SpecFiles = Annotated[
    list[Path] | None,
    typer.Option("--spec", help="file of problems of your own; may be given several times"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Records = Annotated[
    Path, typer.Argument(help="a study: its folder of records, or DIR.jsonl.gz", metavar="DIR")
]


@app.command("list")
def list_problems(
    family: Annotated[str | None, typer.Option(help="only these, joined by commas")] = None,
    spec: SpecFiles = None,
    as_json: AsJson = False,
) -> None:
    """List the problems of the suite, or of your files."""
    guarded(lambda: suite.list_problems(family, spec or [], as_json))


@app.command()
def show(
    problem: Annotated[str | None, typer.Argument(help="id of a problem", metavar="ID")] = None,
    spec: SpecFiles = None,
    as_json: AsJson = False,
) -> None:
    """Show a problem: equations, losses, solution, points, network."""
    guarded(lambda: suite.show_problems(problem, spec or [], as_json))


@app.command()
def run(
    methods: Annotated[
        str,
        typer.Option(help="joined by commas: none,ntk:cap=10,adapters+ntk,auto,lbfgs"),
    ],
    problems: Annotated[
        list[str] | None,
        typer.Argument(help="ids, families or patterns; all unless given", metavar="[PROBLEMS]..."),
    ] = None,
    families: Annotated[
        str | None, typer.Option(help="only problems of these, joined by commas")
    ] = None,
    spec: SpecFiles = None,
    seeds: Annotated[str, typer.Option(help="how many (3), or which (0,2,5)")] = "3",
    budget: Annotated[str, typer.Option(help="smoke, cpu or paper")] = "cpu",
    steps: Annotated[int | None, typer.Option(min=1, help="instead of the budget's")] = None,
    out: Annotated[Path, typer.Option(help="folder of the records")] = Path("results"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes; one for each physical core unless given")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="processes here, or dask's")] = Backend.loky,
    scheduler: Annotated[
        str | None, typer.Option(help="address of a dask scheduler; unless given a local one")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="do again what has a record of another kind")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="do again what failed")
    ] = False,
) -> None:
    """Train problems with methods; one record for each run. Goes on where it was stopped."""
    runs = study.Runs(problems or [], families, spec or [], methods, seeds, budget, steps)
    execution = study.Execution(
        folder_of(out), workers, backend.value, scheduler, replace, retry_failed
    )
    guarded(lambda: study.run(runs, execution))


@app.command()
def report(
    folder: Records,
    out: Annotated[
        Path | None, typer.Option(help="folder of the report; DIR/report unless given")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="whose records, if there are several")] = None,
    baseline: Annotated[
        str, typer.Option(help="the method that others are compared with")
    ] = "none",
    mixed: Annotated[
        bool, typer.Option("--mixed", help="compare records of several versions all the same")
    ] = False,
) -> None:
    """Compare methods: tables, statistics and figures of a folder of records."""
    guarded(lambda: suite.report(folder, out, budget, baseline, mixed))


@app.command()
def pack(
    folder: Records,
    out: Annotated[Path | None, typer.Option(help="the file; DIR.jsonl.gz unless given")] = None,
    without_profiles: Annotated[
        bool,
        typer.Option("--without-profiles", help="leave out raw profiles, which calibrate needs"),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="put the folder's records in place of packed ones")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="then remove the records from the folder")
    ] = False,
) -> None:
    """Put all records of a study into one file, which is read in place of the folder."""
    guarded(lambda: packing.pack(folder, out, without_profiles, replace, remove))
