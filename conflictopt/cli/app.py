"""The console script. Declares commands; what they do is in ``conflictopt.cli``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._version import __version__
from ..auto.options import TrainingOptions
from ..methods.expression import MethodExpression
from . import script_commands
from .budget_file import with_budget
from .calibrate_app import calibrate
from .command_errors import guarded
from .methods_table import list_methods
from .options import PROFILE, STEPS, with_training_options
from .script_call import ScriptCall
from .script_command import ScriptCommand
from .script_host import GroupingName, Precision
from .suite_app import app as suite_app

app = typer.Typer(
    help="Diagnose and treat gradient conflict in physics-informed neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(suite_app, name="suite")
app.command()(calibrate)


Script = Annotated[Path, typer.Argument(help="a DeepXDE script", metavar="SCRIPT")]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(help="the script's own arguments, after --", metavar="[-- ARGS]"),
]
GroupBy = Annotated[
    GroupingName, typer.Option("--groups", help="group losses by kind, or keep each")
]
Out = Annotated[
    Path, typer.Option("--out", help="folder of the report; one with other files is refused")
]
Seconds = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        help="how long levenberg_marquardt may train, displays apart, divided among the "
        "script's calls of train, or auto in the call in which its profile ends, that included; "
        "unless given, as long as the iterations that the script asks "
        "for would take its own optimizer, by a few of them that are timed first and undone",
    ),
]
FloatOfDeepXDE = Annotated[
    Precision | None,
    typer.Option(
        help="DeepXDE's default float, which the script may set itself; unless given float64 "
        "for levenberg_marquardt, whose progress float32 ends sooner, and else DeepXDE's own",
    ),
]
FreshPoints = Annotated[
    bool | None,
    typer.Option(
        "--fresh-points/--no-fresh-points",
        help="whether levenberg_marquardt draws the points of each step from 8 times as many "
        "as the script has, of the same distribution; unless given, from up to so many, where "
        "DeepXDE can draw them and the script has few",
    ),
]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
) -> None:
    """Diagnose and treat gradient conflict in physics-informed neural networks."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.command(cls=ScriptCommand)
@with_training_options(*PROFILE)
def diagnose(
    script: Script,
    options: TrainingOptions,
    arguments: Arguments = None,
    groups: GroupBy = "kind",
    out: Out = Path("report"),
) -> None:
    """Profile an unmodified DeepXDE script, print the verdict, stop."""
    plain = MethodExpression.parse("none")
    call = ScriptCall(script, tuple(arguments or ()), plain, options, groups, out)
    script_commands.diagnose(call)


@app.command(cls=ScriptCommand)
@with_training_options(*PROFILE, *STEPS)
def run(
    script: Script,
    options: TrainingOptions,
    arguments: Arguments = None,
    method: Annotated[
        str,
        typer.Option(
            help="auto, none, or names from 'methods' with options, joined by +: "
            "ntk:refresh=10+pcgrad, adapters:rank=8+ntk, auto:reweighting=ntk; "
            "levenberg_marquardt, alone or with a reweighting, takes the place of the script's "
            "optimizer"
        ),
    ] = "auto",
    option: Annotated[
        list[str] | None,
        typer.Option(help="option of the one method, key=value; for auto: reweighting, rank, ..."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="first run the script with this method, written as for --method, and compare; "
            "again for further methods"
        ),
    ] = None,
    script_seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="seed of random, numpy and torch as the script begins; with --against 0 unless "
            "given, so that all runs begin alike",
        ),
    ] = None,
    seconds: Seconds = None,
    precision: FloatOfDeepXDE = None,
    fresh_points: FreshPoints = None,
    budget: Annotated[
        Path | None,
        typer.Option(
            help="report.json of another run with auto, whose steps on residuals are taken again "
            "when it took them, instead of by time, which the load of a machine changes"
        ),
    ] = None,
    groups: GroupBy = "kind",
    out: Out = Path("report"),
) -> None:
    """Train an unmodified DeepXDE script with a method."""
    expression = MethodExpression.parse(method, option or ())
    call = ScriptCall(
        script,
        tuple(arguments or ()),
        expression,
        with_budget(options, expression, budget),
        groups,
        out,
        seconds,
        precision,
        fresh_points,
    )
    script_commands.run(call, tuple(against or ()), script_seed)


@app.command()
def methods(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the methods."""
    guarded(lambda: list_methods(as_json))


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="conflictopt")
