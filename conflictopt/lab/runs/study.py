"""A study: many runs in parallel, which can be stopped at any time and taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib

from ...core.errors import ConflictOptError
from .tasks import Identify, Planned, Result, StudyTask, plan_study
from .watch import RecordWatch
from .worker import Train, work

OnProgress = Callable[[Result], None]


class StudyError(ConflictOptError, RuntimeError):
    """A study cannot go on; the records of finished runs are kept."""


def run_study(
    tasks: Iterable[StudyTask],
    folder: Path,
    *,
    workers: int,
    train: Train | None = None,
    identify: Identify | None = None,
    on_progress: OnProgress | None = None,
    replace: bool = False,
    retry_failed: bool = False,
) -> list[Result]:
    """Do the runs whose records are not in the folder yet.

    Every worker writes its record itself, whole, the moment its run ends: a study that was
    stopped, even by a crash, goes on from there when it is called again.

    Args:
        tasks: the runs.
        folder: of the records, visible to all workers under the same path.
        workers: processes; 1 means this one. Another backend than processes of this machine is
            used if the caller has activated it by ``joblib.parallel_config``; it then decides how
            many there are.
        train: makes a record; ``conflictopt.lab.runs.training.train`` unless given.
        identify: says what a record will be of; ``plan_identity`` of the same module unless given.
        on_progress: called with each result of a new run, in a thread of its own.
        replace, retry_failed: see ``plan_study``.

    Returns:
        The results of all tasks, in their order, those done before included.

    Raises:
        RecordError: see ``plan_study``; nothing has been run then.
        StudyError: a worker process died, or wrote where this process cannot see it.
        KeyboardInterrupt: records of finished runs are kept; unfinished runs are lost.
    """
    planned = plan_study(
        tasks, folder, identify=identify, replace=replace, retry_failed=retry_failed
    )
    return run_planned(planned, workers=workers, train=train, on_progress=on_progress)


def run_planned(
    planned: list[Planned],
    *,
    workers: int,
    train: Train | None = None,
    on_progress: OnProgress | None = None,
) -> list[Result]:
    """The second half of ``run_study``, after ``plan_study``."""
    todo = [p for p in planned if p.kept is None]
    # the longest first: none of them is then left over at the end, alone on one worker
    todo.sort(key=lambda p: p.cost, reverse=True)
    watch = RecordWatch(todo, on_progress or (lambda result: None))
    with watch:
        _work_all(todo, workers, train or _train())
    missing = watch.missing()
    if missing:
        raise StudyError(
            f"the run of {missing[0].task.label} has finished, but its record is not at "
            f"'{missing[0].path}'. The folder must be visible to all workers under this path."
        )
    found = {id(r.task): r for r in watch.results}
    return [p.kept or found[id(p.task)] for p in planned]


def _work_all(todo: list[Planned], workers: int, train: Train) -> None:
    # more runs in waiting than that, and loky complains when it is interrupted
    parallel = joblib.Parallel(n_jobs=workers, batch_size=1, pre_dispatch="2*n_jobs")
    try:
        parallel(joblib.delayed(work)(train, p) for p in todo)
    except BrokenProcessPool as error:
        raise StudyError(
            "a worker process died, for want of memory perhaps. The records of finished runs are "
            "kept: start the study again, with fewer workers if need be."
        ) from error


def _train() -> Train:
    from .training import train

    return train
