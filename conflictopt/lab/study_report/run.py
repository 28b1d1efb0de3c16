"""One record as the report reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...methods.expression import ExpressionMember
from ...methods.expression_parts import AdapterSettings
from ..runs.records import RecordError

Record = Mapping[str, Any]
Cell = tuple[str, str, int]
"""Problem, method, seed."""
_NEEDED = (
    *("schema", "problem", "family", "method", "seed", "budget"),
    *("status", "error", "settings", "versions", "digest"),
)


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """The error in the course of a run.

    Attributes:
        steps: ``[C]``, ascending.
        times: ``[C]``, seconds of CPU time; NaN where the record has none.
        errors: ``[C]``, geometric mean of the relative L2 errors over outputs; NaN where one of
            them is not a positive number.
    """

    steps: NDArray[np.float64]
    times: NDArray[np.float64]
    errors: NDArray[np.float64]


@dataclass(frozen=True)
class PairConflict:
    """Conflict of two losses in the last half of the profile."""

    first: str
    second: str
    conflict_late: float
    cosine_late: float


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        status: ``ok``, ``diverged`` or ``failed``, as recorded.
        error: geometric mean over outputs; ``None`` unless the run is ``finished``.
        unknowns: relative error per unknown.
        parameters: of network and adapters together.
        regime: of the profile; ``None`` without one, or where it is too short to decide.
        norm_ratio: largest over smallest gradient norm in the profile, geometric mean.
        choice: label of the fixed method that is what ``auto`` chose; ``None`` for fixed ones.
        record: all of it.
    """

    problem: str
    family: str
    method: str
    seed: int
    status: str
    message: str | None
    error: float | None
    outputs: dict[str, float | None]
    unknowns: dict[str, float | None]
    steps: int
    cpu_time_s: float | None
    parameters: int
    curve: ErrorCurve
    regime: str | None
    norm_ratio: float | None
    pairs: tuple[PairConflict, ...]
    choice: str | None
    record: Record

    @property
    def cell(self) -> Cell:
        """Problem, method and seed."""
        return self.problem, self.method, self.seed

    @property
    def finished(self) -> bool:
        """Whether there is an error to compare: status ``ok`` and a finite error."""
        return self.error is not None

    @property
    def plain_run_s(self) -> float | None:
        """CPU seconds of the plain run, as measured beside a run whose budget is time."""
        found: float | None = (self.record.get("timed") or {}).get("plain_run_s")
        return found


def check_keys(record: Record) -> None:
    """See to it that a record has what every report needs.

    Raises:
        RecordError: a missing key.
    """
    missing = [key for key in _NEEDED if key not in record]
    if missing:
        raise RecordError(
            f"the record of {_where(record)} lacks {', '.join(missing)}. Run it again, or move its "
            "file away."
        )


def run_of(record: Record) -> Run:
    """Read a record that has all keys.

    Raises:
        RecordError: an ``error`` that is not positive.
    """
    diagnosis, conflict = record.get("diagnosis") or {}, record.get("conflict") or {}
    unknowns = record.get("unknowns") or {}
    return Run(
        problem=record["problem"],
        family=record["family"],
        method=record["method"],
        seed=record["seed"],
        status=record["status"],
        message=record.get("message"),
        error=_error(record),
        outputs=dict(record.get("relative_l2") or {}),
        unknowns={k: v.get("relative_error") for k, v in sorted(unknowns.items())},
        steps=record.get("steps") or 0,
        cpu_time_s=record.get("cpu_time_s"),
        parameters=sum((record.get("parameters") or {}).values()),
        curve=_curve(record.get("curve") or {}),
        regime=None if diagnosis.get("too_short") else diagnosis.get("regime"),
        norm_ratio=conflict.get("norm_ratio"),
        pairs=tuple(_pairs(conflict.get("pairs") or ())),
        choice=_choice(record),
        record=record,
    )


def _error(record: Record) -> float | None:
    error: float | None = record["error"]
    if record["status"] != "ok" or error is None:
        return None
    if not (math.isfinite(error) and error > 0):
        raise RecordError(
            f"expected a positive 'error' or null, found {error} ({_where(record)}). A relative "
            "error of exactly 0 has no ratio to another: check the problem's reference."
        )
    return float(error)


def _curve(curve: Record) -> ErrorCurve:
    steps = np.asarray(curve.get("step") or (), dtype=np.float64)
    outputs = list((curve.get("relative_l2") or {}).values())
    errors = np.full(len(steps), np.nan)
    if outputs:
        values = np.asarray(outputs, dtype=np.float64)
        usable = (np.isfinite(values) & (values > 0)).all(axis=0)
        errors[usable] = np.exp(np.log(values[:, usable]).mean(axis=0))
    times = np.asarray(curve.get("cpu_time_s") or [None] * len(steps), dtype=np.float64)
    return ErrorCurve(steps, times, errors)


def _pairs(pairs: Any) -> list[PairConflict]:
    return [
        PairConflict(p["first"], p["second"], p["conflict_late"], p["cosine_late"])
        for p in pairs
        if p.get("conflict_late") is not None and p.get("cosine_late") is not None
    ]


def _choice(record: Record) -> str | None:
    plan = record.get("plan")
    if plan is None:
        return None
    method = "+".join(filter(None, (plan.get("reweighting"), plan.get("surgery")))) or "none"
    if not plan.get("adapters"):
        return method
    given = (record.get("options") or {}).get("auto") or {}
    usual = asdict(AdapterSettings())
    other = {k: given[k] for k in usual if k in given and given[k] != usual[k]}
    return f"{ExpressionMember('adapters', other).text}+{method}"


def _where(record: Record) -> str:
    return ", ".join(f"{key} {record.get(key)!r}" for key in ("problem", "method", "seed"))
