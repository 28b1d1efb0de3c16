"""Tasks of a study, and which of them are to be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...methods.expression import MethodExpression
from ...methods.expression_parts import completed
from .identity import differences
from .packs import folder_of, packed_records
from .place import record_path
from .records import RecordError, clean, read
from .stored import alike

_SHOWN = 5


class StudyProblem(Protocol):
    """What a study asks of a problem; it must be picklable."""

    @property
    def id(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def K(self) -> int: ...  # noqa: N802  (as in the records)
    def cost(self, budget: Any, /) -> float:
        """Relative estimate of the time of a run."""


class StudyBudget(Protocol):
    """What a study asks of a budget; it must be picklable."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class StudyTask:
    """One run to make."""

    problem: StudyProblem
    method: MethodExpression
    seed: int
    budget: StudyBudget

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.problem.id}, {self.method.label}, seed {self.seed}"


Identify = Callable[[Any, MethodExpression, int, Any], dict[str, Any]]
"""``(problem, method, seed, budget)`` -> the identity of the record that such a run makes."""


@dataclass(frozen=True)
class Result:
    """What a study keeps in mind of a finished run; the rest is in its record.

    Attributes:
        status: ``ok``, ``diverged`` or ``failed``.
        message: of the record.
        error: of the record; ``None`` where there is none.
    """

    task: StudyTask
    status: str
    message: str | None
    error: float | None

    @classmethod
    def of(cls, task: StudyTask, record: dict[str, Any]) -> Result:
        """From the record of a task."""
        return cls(task, record["status"], record.get("message"), record.get("error"))


@dataclass(frozen=True)
class Planned:
    """A task, and the record that it makes or has made.

    Attributes:
        identity: what the record says, or will say, of its run.
        path: where it lies; absolute.
        cost: relative estimate of the time of the run.
        kept: the run that is done already; ``None`` for one to be done.
    """

    task: StudyTask
    identity: dict[str, Any]
    path: Path
    cost: float
    kept: Result | None


def plan_study(
    tasks: Iterable[StudyTask],
    folder: Path,
    *,
    identify: Identify | None = None,
    replace: bool = False,
    retry_failed: bool = False,
) -> list[Planned]:
    """Look up which tasks have a record already, in the study's folder or in its packed file.

    A record of the same run, by a version that trains alike, counts as done, whatever its status.
    New records go to the folder.

    Args:
        folder: of the records; need not exist. The study's packed file may be given instead.
        identify: ``conflictopt.lab.runs.training.plan_identity`` unless given.
        replace: do again what has a record of another kind (another version, specification,
            options, settings), or a damaged one.
        retry_failed: do again what failed. With either, a record in the folder counts where
            another was packed.

    Raises:
        RecordError: records of another kind, without ``replace``; two tasks with one record.
    """
    identify = identify or _identify()
    folder = folder_of(folder).resolve()
    clean(folder)
    packed, again = packed_records(folder), replace or retry_failed
    planned, others = [], []
    costs: dict[tuple[int, int], float] = {}
    for task in tasks:
        made = identify(task.problem, task.method, task.seed, task.budget)
        path = record_path(folder, made)
        record, why = _found(path, packed.get(path.relative_to(folder)), made, again)
        if why and not replace:
            others.append(f"{path.relative_to(folder)}: {why}")
        kept = None if why or record is None else Result.of(task, record)
        if retry_failed and kept is not None and kept.status == "failed":
            kept = None
        key = id(task.problem), id(task.budget)
        costs[key] = costs[key] if key in costs else task.problem.cost(task.budget)
        optimizer = task.method.optimizer
        cost = costs[key] * (1.0 if optimizer is None else optimizer.horizon)
        planned.append(Planned(task, made, path, cost, kept))
    _refuse_shared(planned)
    _refuse(others, len(planned), folder)
    return planned


def _identify() -> Identify:
    from .training import plan_identity

    return plan_identity


def _found(
    path: Path, packed: dict[str, Any] | None, made: dict[str, Any], again: bool
) -> tuple[dict[str, Any] | None, str]:
    """The record of a run, and why it is not the one that the run makes."""
    record = packed
    if path.exists():
        try:
            record = read(path)
        except RecordError:
            return None, "damaged, or no record"
        if packed is not None and not again and not alike(record, packed):
            return record, "not like the packed record of the same run"
    if record is None:
        return None, ""
    options = record["options"]
    known = {m: completed(m, options[m]) for m in options if m in made["options"]}
    return record, ", ".join(differences({**record, "options": {**options, **known}}, made))


def _refuse_shared(planned: list[Planned]) -> None:
    twice = [path for path, count in Counter(p.path for p in planned).items() if count > 1]
    if twice:
        found = "; ".join(p.task.label for p in planned if p.path == twice[0])
        raise RecordError(f"expected every run once, found several that make one record: {found}.")


def _refuse(others: list[str], total: int, folder: Path) -> None:
    if not others:
        return
    shown = [f"  {line}" for line in others[:_SHOWN]]
    shown += [f"  and {len(others) - _SHOWN} more"] if len(others) > _SHOWN else []
    raise RecordError(
        f"{len(others)} of {total} runs have a record of another kind in '{folder}':\n"
        + "\n".join(shown)
        + "\nReplace them with --replace, or choose another folder with --out."
    )
