"""What was run, how it ended, what is missing, and under which circumstances."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..run import Cell, Run
from ..study import Study


@dataclass(frozen=True, eq=False)
class Inventory:
    """Counts over all runs.

    Attributes:
        outcomes: per method, ``ok``, ``diverged``, ``failed`` and ``missing`` cells.
        not_ok: the runs without an error to compare.
        missing: cells (problem, method, seed) that the study lacks, of all its problems, methods
            and seeds.
        versions, machines, sources: the circumstances as text, with the number of runs.
        settings: those that all runs share.
        by_problem: names of settings that differ between problems only.
        by_run: names of settings that differ between runs of one problem.
        options: per method, as JSON; more than one where they differ between runs.
    """

    outcomes: dict[str, Counter[str]]
    not_ok: tuple[Run, ...]
    missing: tuple[Cell, ...]
    versions: dict[str, int]
    machines: dict[str, int]
    sources: dict[str, int]
    settings: dict[str, Any]
    by_problem: tuple[str, ...]
    by_run: tuple[str, ...]
    options: dict[str, tuple[str, ...]]


def inventory_of(study: Study) -> Inventory:
    """Go through all runs once."""
    outcomes: dict[str, Counter[str]] = {m: Counter() for m in study.methods}
    for run in study.runs:
        outcomes[run.method][outcome(run)] += 1
    missing = tuple(
        (p, m, s)
        for p in study.problems
        for m in study.methods
        for s in study.seeds
        if (p, m, s) not in study.cells
    )
    for _, method, _ in missing:
        outcomes[method]["missing"] += 1
    same, by_problem, by_run = _settings(study)
    return Inventory(
        outcomes,
        tuple(r for r in study.runs if not r.finished),
        missing,
        _counts(study, lambda r: _words(r.record.get("versions"))),
        _counts(study, lambda r: _words(r.record.get("machine"))),
        _counts(study, lambda r: str((r.record.get("digest") or {}).get("source"))),
        same,
        by_problem,
        by_run,
        _options(study),
    )


def outcome(run: Run) -> str:
    """The recorded status; ``not finite`` for status ``ok`` without a finite error."""
    return run.status if run.finished or run.status != "ok" else "not finite"


def _counts(study: Study, text: Callable[[Run], str]) -> dict[str, int]:
    return dict(sorted(Counter(text(r) for r in study.runs).items()))


def _words(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{k} {v}" for k, v in (values or {}).items()) or "not recorded"


def _settings(study: Study) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    keys = sorted({key for r in study.runs for key in r.record.get("settings") or {}})
    for run in study.runs:
        for key in keys:
            value = (run.record.get("settings") or {}).get(key)
            seen[key][run.problem].add(json.dumps(value, sort_keys=True))
    same, by_problem, by_run = {}, [], []
    for key in keys:
        values = set().union(*seen[key].values())
        if len(values) == 1:
            same[key] = json.loads(next(iter(values)))
        elif all(len(v) == 1 for v in seen[key].values()):
            by_problem.append(key)
        else:
            by_run.append(key)
    return same, tuple(by_problem), tuple(by_run)


def _options(study: Study) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {m: set() for m in study.methods}
    for run in study.runs:
        options = {k: v for k, v in (run.record.get("options") or {}).items() if v}
        found[run.method].add(json.dumps(options, sort_keys=True))
    return {m: tuple(sorted(values)) for m, values in found.items()}
