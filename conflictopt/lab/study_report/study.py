"""All runs of one study at one budget, checked for being comparable."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..runs.identity import check_comparable
from ..runs.records import RecordError
from . import family
from .label import is_auto
from .run import Cell, Record, Run, check_keys, run_of


@dataclass(frozen=True, eq=False)
class Study:
    """Runs that may be compared.

    Attributes:
        runs: ordered by family, problem, method and seed, however they came.
        baseline: label of the method that the others are compared with.
        budget: its name.
        mixtures: what is mixed in the records all the same, one line each.
    """

    runs: tuple[Run, ...]
    baseline: str
    budget: str
    mixtures: tuple[str, ...] = ()

    @cached_property
    def cells(self) -> dict[Cell, Run]:
        """The run of each problem, method and seed."""
        return {r.cell: r for r in self.runs}

    @cached_property
    def family_of(self) -> dict[str, str]:
        """The family of each problem, in the order of the report."""
        return {r.problem: r.family for r in self.runs}

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """All problems, by family and name."""
        return tuple(self.family_of)

    @cached_property
    def families(self) -> tuple[str, ...]:
        """All families, those of the suite first."""
        return tuple(dict.fromkeys(self.family_of.values()))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """All methods: the baseline, fixed ones by name, ``auto`` last."""
        return tuple(dict.fromkeys(sorted((r.method for r in self.runs), key=self._method_order)))

    @property
    def fixed(self) -> tuple[str, ...]:
        """The methods that are not ``auto``."""
        return tuple(m for m in self.methods if not is_auto(m))

    @property
    def others(self) -> tuple[str, ...]:
        """The methods beside the baseline."""
        return tuple(m for m in self.methods if m != self.baseline)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """All seeds."""
        return tuple(sorted({r.seed for r in self.runs}))

    @property
    def has_baseline(self) -> bool:
        """Whether any run of the baseline is there."""
        return self.baseline in self.methods

    def members(self, family: str | None) -> tuple[str, ...]:
        """The problems of a family, or all of them."""
        return tuple(p for p in self.problems if family in (None, self.family_of[p]))

    def of(self, problem: str, method: str) -> tuple[Run, ...]:
        """The runs of a method on a problem, by seed."""
        found = (self.cells.get((problem, method, seed)) for seed in self.seeds)
        return tuple(run for run in found if run is not None)

    def _method_order(self, method: str) -> tuple[bool, bool, str]:
        return method != self.baseline, is_auto(method), method


def study_of(
    records: Iterable[Record],
    *,
    baseline: str = "none",
    budget: str | None = None,
    notes: Sequence[str] = (),
) -> Study:
    """Read records and check that they belong together.

    Args:
        baseline: label of the method to compare with; it may be absent.
        budget: which budget to report, needed where the records hold several.
        notes: what is mixed in the records, as ``check_comparable`` says it; without it, records
            of several versions or specifications are refused.

    Raises:
        RecordError: no records, several budgets and none chosen, two records of one problem,
            method and seed, two families under one problem id, or records that
            ``check_comparable`` refuses.
    """
    chosen = _of_budget(list(records), budget)
    mixtures = check_comparable(chosen, mixed=bool(notes))
    runs = sorted((run_of(record) for record in chosen), key=_order)
    _check_unique(runs)
    _check_families(runs)
    return Study(tuple(runs), baseline, chosen[0]["budget"], tuple(sorted({*mixtures, *notes})))


def _order(run: Run) -> tuple[tuple[int, str], str, str, int]:
    return family.order(run.family), run.problem, run.method, run.seed


def _of_budget(records: list[Record], budget: str | None) -> list[Record]:
    if not records:
        raise RecordError("expected records to report on, found none. Run the study first.")
    for record in records:
        check_keys(record)
    counts = Counter(r["budget"] for r in records)
    found = ", ".join(f"{name} ({n} records)" for name, n in sorted(counts.items()))
    if budget is None and len(counts) > 1:
        raise RecordError(f"expected records of one budget, found {found}. Choose one: budget=...")
    if budget is not None and budget not in counts:
        raise RecordError(f"expected records of budget {budget!r}, found {found}.")
    return [r for r in records if budget is None or r["budget"] == budget]


def _check_unique(runs: list[Run]) -> None:
    groups: dict[Cell, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.cell].append(run)
    for (problem, method, seed), same in groups.items():
        if len(same) > 1:
            keys = [k for k in ("options", "settings", "versions", "digest") if _differ(same, k)]
            what = f"they differ in {', '.join(keys)}" if keys else "they are of one identity"
            raise RecordError(
                f"expected one record for problem {problem!r}, method {method!r}, seed {seed}, "
                f"found {len(same)}; {what}. Move the records that you do not mean away."
            )


def _differ(runs: list[Run], key: str) -> bool:
    return len({json.dumps(r.record.get(key), sort_keys=True) for r in runs}) > 1


def _check_families(runs: list[Run]) -> None:
    families: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        families[run.problem].add(run.family)
    for problem, found in families.items():
        if len(found) > 1:
            raise RecordError(
                f"expected one family for problem {problem!r}, found {', '.join(sorted(found))}. "
                "They are different problems: move the records of one of them away."
            )
