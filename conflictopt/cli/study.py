"""``suite run``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from ..core.errors import ConflictOptError
from ..wording import counted
from .problem_choice import Pool, read_seeds
from .study_progress import counts_text, line, study_progress

_INTERRUPTED = 130


@dataclass(frozen=True)
class Runs:
    """Which runs."""

    problems: Sequence[str]
    families: str | None
    specs: Sequence[Path]
    methods: str
    seeds: str
    budget: str
    steps: int | None

    def tasks(self) -> list[Any]:
        """Every problem with every method and every seed.

        Raises:
            ConflictOptError: words that name no problem, method, seed or budget.
        """
        from ..lab.runs.budget import budget
        from ..lab.runs.tasks import StudyTask
        from ..methods.expression import parse_methods

        methods, seeds = parse_methods(self.methods), read_seeds(self.seeds)
        chosen = budget(self.budget, self.steps)
        alone = not self.problems and self.families is None
        pool = Pool.of(self.specs, alone)
        problems = pool.choose(self.problems, self.families)
        for problem in problems:
            if problem.id in pool.own:
                problem.prove()
        return [StudyTask(p, m, s, chosen) for p in problems for m in methods for s in seeds]


@dataclass(frozen=True)
class Execution:
    """How, and where the records go."""

    out: Path
    workers: int | None
    backend: Literal["loky", "dask"]
    scheduler: str | None
    replace: bool
    retry_failed: bool

    def number(self) -> int:
        """Of worker processes: one for each physical core unless given."""
        import joblib

        return self.workers or int(joblib.cpu_count(only_physical_cores=True))

    @property
    def place(self) -> str:
        """Where runs are run, for messages."""
        if self.scheduler is not None:
            return f"dask at {self.scheduler}"
        count = counted(self.number(), "worker")
        return f"dask, {count}" if self.backend == "dask" else count

    def context(self) -> AbstractContextManager[None]:
        """Within which runs are run.

        Raises:
            ConflictOptError: options that exclude each other.
        """
        if self.scheduler is not None and self.backend != "dask":
            raise ConflictOptError("expected --backend dask with --scheduler, which is dask's.")
        if self.scheduler is not None and self.workers is not None:
            raise ConflictOptError("expected --workers or --scheduler, which has its own workers.")
        if self.backend == "loky":
            return nullcontext()
        from ..lab.runs.cluster import dask_backend

        return dask_backend(self.number(), self.scheduler)


def run(runs: Runs, execution: Execution) -> int:
    """Do the runs that are not done yet, and sum up.

    Returns:
        The exit code: 0, 1 if a run failed, 130 if it was interrupted.
    """
    from ..lab.runs.study import run_planned
    from ..lab.runs.tasks import plan_study

    console, context = Console(highlight=False), execution.context()
    if execution.out.exists() and not execution.out.is_dir():
        raise ConflictOptError(f"expected --out as a folder, found a file: '{execution.out}'.")
    planned = plan_study(
        runs.tasks(),
        execution.out,
        replace=execution.replace,
        retry_failed=execution.retry_failed,
    )
    todo = sum(p.kept is None for p in planned)
    _print_plan(console, planned, todo, execution)
    began = time.perf_counter()
    try:
        with (
            context if todo else nullcontext(),
            study_progress(Console(stderr=True), planned) as tell,
        ):
            results = run_planned(planned, workers=execution.number(), on_progress=tell)
    except KeyboardInterrupt:
        console.print("Stopped. Finished runs are kept; the same command goes on from here.")
        return _INTERRUPTED
    _print_summary(console, results, todo, time.perf_counter() - began, execution)
    return 1 if any(r.status == "failed" for r in results) else 0


def _print_plan(console: Console, planned: Sequence[Any], todo: int, execution: Execution) -> None:
    found = [(p.task.problem.id, p.task.method.label, p.task.seed) for p in planned]
    counts = [len(set(column)) for column in zip(*found, strict=True)]
    nouns = zip(counts, ("problem", "method", "seed"), strict=True)
    console.print(
        f"{' x '.join(counted(n, noun) for n, noun in nouns)} = {counted(len(planned), 'run')}, "
        f"budget {planned[0].task.budget.name}: {len(planned) - todo} done already, {todo} to do "
        f"({execution.place}).",
        soft_wrap=True,
    )


def _print_summary(
    console: Console, results: Sequence[Any], done: int, seconds: float, execution: Execution
) -> None:
    failed = [r for r in results if r.status == "failed"]
    for result in failed:
        console.print(line(result), soft_wrap=True)
    if failed:
        console.print("Failed runs are done again with --retry-failed.")
    counts = counts_text(Counter(r.status for r in results))
    out = escape(str(execution.out))
    console.print(
        f"{counted(len(results), 'run')}: {counts}; {done} of them now, in {seconds:.1f} s.\n"
        f"Records: {out}/\nReport: [bold]conflictopt suite report {out}[/]",
        soft_wrap=True,
    )
