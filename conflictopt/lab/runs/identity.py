"""Which run a record is of, by which version, and whether records may be reported together."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...core.plain_data import plain_data
from .generations import generation
from .records import SCHEMA, RecordError

Record = Mapping[str, Any]


def identity(record: Record) -> dict[str, Any]:
    """What makes two runs the same run, apart from the version.

    Of a record, or of the identity of one that is yet to be made.
    """
    keys = ("problem", "method", "options", "seed", "budget", "settings")
    whole = {k: record[k] for k in keys}
    made: dict[str, Any] = plain_data(
        {**whole, "specification": record["digest"].get("problem")}, "null"
    )
    return made


def version(record: Record) -> dict[str, Any]:
    """What wrote, or would write, a record: schema, conflictopt, torch.

    Of conflictopt all versions that train alike, see ``generations``.
    """
    versions = record["versions"]
    return {
        "schema": record["schema"],
        "conflictopt": generation(versions.get("conflictopt")),
        "torch": versions.get("torch"),
    }


def differences(found: Record, expected: Record) -> list[str]:
    """In what the identity or version of a record differs from the expected one, one line each."""
    have = {**version(found), **identity(found)}
    want = {**version(expected), **identity(expected)}
    lines = []
    for key, value in want.items():
        if key in ("options", "settings") and have[key] != value:
            inner = sorted({*have[key], *value})
            changed = [k for k in inner if have[key].get(k) != value.get(k)]
            lines += [_line(f"{key}.{k}", have[key].get(k), value.get(k)) for k in changed]
        elif have[key] != value:
            lines.append(_line(key, have[key], value))
    return lines


def _line(name: str, have: Any, want: Any) -> str:
    return f"{name} {json.dumps(have)} instead of {json.dumps(want)}"


def mixtures(records: Iterable[Record]) -> list[str]:
    """What keeps records from being compared: one line per mixture, with counts.

    Several versions; several specifications under one problem id; several numbers of steps under
    one budget of a problem.
    """
    records = list(records)
    lines = _several("versions", records, _version_text)
    by_problem: dict[str, list[Record]] = defaultdict(list)
    by_budget: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        by_problem[record["problem"]].append(record)
        by_budget[record["problem"], record["budget"]].append(record)
    for problem, members in by_problem.items():
        what = f"specifications of problem '{problem}'"
        lines += _several(what, members, lambda r: str(r["digest"].get("problem")))
    for (problem, budget), members in by_budget.items():
        what = f"numbers of steps in budget '{budget}' of problem '{problem}'"
        lines += _several(what, members, lambda r: str(r["settings"].get("steps")))
    return lines


def _several(what: str, records: list[Record], text: Callable[[Record], str]) -> list[str]:
    counts = Counter(map(text, records))
    if len(counts) < 2:
        return []
    found = "; ".join(f"{t} ({n} records)" for t, n in sorted(counts.items()))
    return [f"{len(counts)} {what}: {found}"]


def _version_text(record: Record) -> str:
    return ", ".join(f"{name} {value}" for name, value in version(record).items())


def check_comparable(records: Iterable[Record], *, mixed: bool = False) -> list[str]:
    """See to it that records of several kinds are not reported as of one kind.

    Args:
        mixed: report them all the same.

    Returns:
        What is mixed, one line each, for the report to say; nothing unless ``mixed``.

    Raises:
        RecordError: records of a schema that this version cannot read; mixed records without
            ``mixed``.
    """
    records = list(records)
    foreign = Counter(r["schema"] for r in records if r["schema"] != SCHEMA)
    if foreign:
        found = ", ".join(f"{schema} ({n} records)" for schema, n in sorted(foreign.items()))
        raise RecordError(
            f"expected records of schema {SCHEMA}, found {found}. Report them with the version of "
            "conflictopt that wrote them, or run them again with --replace."
        )
    kinds = mixtures(records)
    if kinds and not mixed:
        raise RecordError(
            "expected records that can be compared, found "
            + "; and ".join(kinds)
            + ". Run the older ones again (suite run --replace), report another folder, or report "
            "them together all the same with --mixed."
        )
    return kinds
