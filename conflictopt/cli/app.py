"""The console script. Declares commands; what they do is in ``conflictopt.cli``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .._version import __version__
from . import commands
from .calibrate_app import calibrate
from .guard import guarded
from .separator import ScriptCommand
from .suite_app import app as suite_app

app = typer.Typer(
    help="Diagnose and treat gradient conflict in physics-informed neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(suite_app, name="suite")
app.command()(calibrate)


class Groups(str, Enum):
    """How DeepXDE's losses become named losses."""

    kind = "kind"
    each = "each"


class Engine(str, Enum):
    """How per-loss gradients are computed."""

    auto = "auto"
    graph = "graph"
    rows = "rows"
    batched = "batched"


class Update(str, Enum):
    """What to do with the optimizer's actual update."""

    trust = "trust"
    check = "check"
    correct = "correct"


class OnNonfinite(str, Enum):
    """What to do on an infinite or NaN loss or gradient."""

    stop = "raise"
    skip = "skip"


Script = Annotated[Path, typer.Argument(help="a DeepXDE script", metavar="SCRIPT")]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(help="the script's own arguments, after --", metavar="[-- ARGS]"),
]
Steps = Annotated[int, typer.Option("--profile-steps", min=1, help="optimizer steps to profile")]
ProfileEvery = Annotated[
    int | None,
    typer.Option("--profile-every", min=1, help="steps between samples; without it 100 samples"),
]
RuleFile = Annotated[
    Path | None,
    typer.Option("--rule", help="rule for the plan, of 'conflictopt calibrate'; ours without it"),
]
PerLoss = Annotated[
    Engine,
    typer.Option("--engine", help="how per-loss gradients are computed; auto unless measured"),
]
GroupBy = Annotated[Groups, typer.Option("--groups", help="group losses by kind, or keep each")]
Out = Annotated[Path, typer.Option("--out", help="folder of the report")]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
) -> None:
    """Diagnose and treat gradient conflict in physics-informed neural networks."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.command(cls=ScriptCommand)
def diagnose(
    script: Script,
    arguments: Arguments = None,
    steps: Steps = 1000,
    profile_every: ProfileEvery = None,
    groups: GroupBy = Groups.kind,
    engine: PerLoss = Engine.auto,
    rule: RuleFile = None,
    out: Out = Path("report"),
) -> None:
    """Profile an unmodified DeepXDE script, print the verdict, stop."""
    profiling = commands.Profiling(steps, profile_every, groups.value, engine.value, rule, out)
    guarded(lambda: commands.diagnose(script, arguments or [], profiling))


@app.command(cls=ScriptCommand)
def run(
    script: Script,
    arguments: Arguments = None,
    method: Annotated[
        str, typer.Option(help="auto, none, or names from 'methods' joined by +")
    ] = "auto",
    option: Annotated[
        list[str] | None,
        typer.Option(help="option of the method, key=value; for auto: reweighting, rank, ..."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="first run the script with this method, at its defaults, and compare; again for "
            "further methods"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the method's own random choices")] = 0,
    script_seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="seed of random, numpy and torch as the script begins; with --against 0 unless "
            "given, so that all runs begin alike",
        ),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="steps for which coefficients hold")] = 1,
    update: Annotated[
        Update, typer.Option(help="compare the optimizer's update with all gradients")
    ] = Update.trust,
    on_nonfinite: Annotated[OnNonfinite, typer.Option(help="on NaN or inf")] = OnNonfinite.stop,
    steps: Steps = 1000,
    profile_every: ProfileEvery = None,
    groups: GroupBy = Groups.kind,
    engine: PerLoss = Engine.auto,
    rule: RuleFile = None,
    out: Out = Path("report"),
) -> None:
    """Train an unmodified DeepXDE script with a method."""
    profiling = commands.Profiling(steps, profile_every, groups.value, engine.value, rule, out)
    others = tuple(dict.fromkeys(against or []))
    training = commands.Training(
        method, option or [], seed, script_seed, every, update.value, on_nonfinite.value, others
    )
    guarded(lambda: commands.run(script, arguments or [], profiling, training))


@app.command()
def methods(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the methods."""
    guarded(lambda: commands.list_methods(as_json))


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="conflictopt")
