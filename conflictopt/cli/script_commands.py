"""The commands ``diagnose`` and ``run``."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from .comparison import Comparison
from .progress import training_progress
from .report_folder import check_free
from .script_call import ScriptCall
from .script_host import ScriptRun, TrainedModel
from .verdict import print_outcome, report


def diagnose(call: ScriptCall) -> None:
    """Profile the script, print the verdict, write the report."""
    check_free(call.out)
    console = Console()
    with training_progress(Console(stderr=True), call.options.profile_steps) as show:
        task = call.start(show)
        model = task.profile()
    trained = list(task.trained)
    report(console, model.run, call.out, call.again(), (trained.index(model) + 1, len(trained)))


def run(call: ScriptCall, against: tuple[str, ...], seed: int | None) -> None:
    """Train the script, print verdict and outcome, write the report.

    Args:
        call: the script, the method, the folder.
        against: methods to compare with.
        seed: of the script's random numbers; runs that are compared begin alike.
    """
    _ = call.resolved
    comparison = Comparison.of(call, against, 0 if seed is None and against else seed)
    check_free(call.out)
    comparison.train()
    task: ScriptRun | None = None
    try:
        with training_progress(Console(stderr=True)) as show:
            task = call.start(show, comparison.seed)
            task.train()
    finally:
        # also of a script that fails late: what was trained until then is not lost
        trained = list(task.trained) if task is not None else []
        for number, model in enumerate(trained, start=1):
            _report(call, comparison, model, (number, len(trained)))


def _report(
    call: ScriptCall, comparison: Comparison, model: TrainedModel, which: tuple[int, int]
) -> None:
    console, label = Console(), call.method.label
    outcome, folder = model.outcome(label), call.folder(which[0])
    columns = comparison.columns(console, which[0], folder, outcome)
    report(console, model.run, folder, call.again(), which, columns)
    print_outcome(console, columns, folder)
    for kind, told in model.run.reports.items():
        console.print(Text(f"{kind}, {told.count} steps, last {told.last}: {told.message}"))
