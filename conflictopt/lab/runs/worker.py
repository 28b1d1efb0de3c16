"""What a worker process does: one run, and its record."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from multiprocessing import current_process
from typing import Any

import scipy.linalg  # noqa: F401  (its BLAS is limited only once it is loaded)
import torch
from threadpoolctl import threadpool_limits

from ...methods.expression import MethodExpression
from .identity import differences
from .provenance import machine
from .records import RecordError, write
from .tasks import Planned

Train = Callable[[Any, MethodExpression, int, Any], dict[str, Any]]
"""``(problem, method, seed, budget)`` -> the record of the run."""


def work(train: Train, planned: Planned) -> None:
    """Train and write the record; an exception of the run becomes a record of status ``failed``.

    One thread of torch and of the linear algebra of NumPy and SciPy, so that workers do not compete
    and the numbers of a run do not depend on how many there are; the process's own settings return
    afterwards.

    Raises:
        OSError: the record cannot be written.
    """
    _leave_interrupts_to_the_parent()
    started = datetime.now(timezone.utc)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        task = planned.task
        with threadpool_limits(limits=1):
            record = train(task.problem, task.method, task.seed, task.budget)
        _check(record, planned)
        write(planned.path, record)
    except Exception as error:
        write(planned.path, _failed(planned, error, started))
    finally:
        torch.set_num_threads(threads)


def _leave_interrupts_to_the_parent() -> None:
    # one from the terminal reaches all processes; joblib kills its own as soon as the parent stops
    if current_process().name.startswith("LokyProcess"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check(record: dict[str, Any], planned: Planned) -> None:
    wrong = differences(record, planned.identity)
    if wrong:
        raise RecordError(f"the run made a record of another run: {', '.join(wrong)}.")


def _failed(planned: Planned, error: Exception, started: datetime) -> dict[str, Any]:
    lines = str(error).splitlines() or [""]
    problem = planned.task.problem
    return {
        **planned.identity,
        "family": problem.family,
        "K": problem.K,
        "status": "failed",
        "message": f"{type(error).__name__}: {lines[0]}",
        "traceback": "".join(traceback.format_exception(error)),
        "relative_l2": {},
        "error": None,
        "unknowns": {},
        "steps": 0,
        "wall_time_s": None,
        "cpu_time_s": None,
        "parameters": {},
        "curve": {},
        "coefficients": {},
        "conflict": None,
        "diagnosis": None,
        "plan": None,
        "trained_with": [],
        "decisions": [],
        "reports": {},
        "profile": None,
        "machine": machine(),
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
