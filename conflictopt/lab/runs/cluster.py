"""Studies on a dask cluster, of this machine or of many."""

from __future__ import annotations

import importlib
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import joblib

from ...core.errors import ConflictOptError
from ...core.extras import require
from .study import StudyError


@contextmanager
def dask_backend(workers: int, scheduler: str | None = None) -> Iterator[None]:
    """While it lasts, ``run_study`` runs on dask.

    Args:
        workers: processes of a cluster on this machine, for as long as the context lasts.
        scheduler: address of a running scheduler (``tcp://host:8786``), whose workers are used
            instead. They need this package, and the folder of the records under the same path.

    Raises:
        MissingExtraError: dask is not installed.
        ConflictOptError: workers with several threads, which would train
            several runs in one process; fewer than two workers, on which joblib would run
            nothing.
        StudyError: the same run killed several workers.
        OSError: no scheduler at the address.
    """
    distributed = _distributed()
    with ExitStack() as stack:
        if scheduler is None:
            client = stack.enter_context(_local(distributed, workers, stack))
        else:
            client = stack.enter_context(distributed.Client(scheduler, set_as_default=False))
            _check_workers(list(client.nthreads().values()))
        stack.enter_context(joblib.parallel_config(backend="dask", client=client))
        try:
            yield
        except distributed.KilledWorker as error:
            raise StudyError(
                f"dask gave up: {error} The records of finished runs are kept."
            ) from error


def _distributed() -> Any:
    require("dask", "distributed")
    return importlib.import_module("distributed")


def _local(distributed: Any, workers: int, stack: ExitStack) -> Any:
    _check_workers([1] * workers)
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=0,  # none, as workers of the other backend
        dashboard_address=None,
        silence_logs=logging.ERROR,
    )
    client = distributed.Client(stack.enter_context(cluster), set_as_default=False)
    client.run(_ignore_interrupts)
    return client


def _ignore_interrupts() -> None:
    # one from the terminal reaches the workers as well, but their parent deals with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_workers(threads: list[int]) -> None:
    """Threads of each worker."""
    if any(count != 1 for count in threads) or len(threads) < 2:
        found = ", ".join(f"one with {count}" for count in threads) or "none"
        raise ConflictOptError(
            f"expected at least two dask workers with one thread each, found {found}. On a cluster "
            "of your own: dask worker ADDRESS --nworkers N --nthreads 1."
        )
