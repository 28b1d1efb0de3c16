"""The records of a study as numbers: errors relative to plain training, and its profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...diagnosis.profile import Profile
from ...selection.plan_template import PlanTemplate
from ..problems.halves import Half
from ..study_report.statistics.pairing import log_ratios, paired
from ..study_report.study import Study, study_of
from .calibration_error import CalibrationError
from .candidates import PLAIN
from .sources import Record, candidates, check_complete, early, of_half, profiled


@dataclass(frozen=True, eq=False)
class Evidence:
    """M candidates on U runs (problem and seed) of P problems.

    Attributes:
        labels: of the candidates; ``none`` is the first.
        templates: the plan of each.
        problems: the P ids.
        of_problem: ``[U]`` index of each run's problem; runs are ordered by it.
        seeds: ``[U]``.
        logs: ``[M, U]`` natural logarithms of counted error (see ``counted_error``) over that of
            plain training.
        broken: ``[M, P]`` whether more than half of a candidate's runs of a problem, among those
            that plain training finished, failed or diverged.
        profiles: U profiles of the plain runs, without layers.
        left_out: per method that is no candidate, why.
        notes: what else was left out or mixed, a sentence each.
        source: how many records of which budget and version, in words.
    """

    labels: tuple[str, ...]
    templates: tuple[PlanTemplate, ...]
    problems: tuple[str, ...]
    of_problem: NDArray[np.int64]
    seeds: NDArray[np.int64]
    logs: NDArray[np.float64]
    broken: NDArray[np.bool_]
    profiles: tuple[Profile, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    source: str

    def runs(self, problem: int) -> NDArray[np.int64]:
        """Indices of the runs of a problem."""
        return np.flatnonzero(self.of_problem == problem)

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """``[M, P]`` mean logs over the runs of each problem."""
        return self.means_of(np.ones(len(self.of_problem), dtype=bool))

    def means_of(self, counts: NDArray[np.bool_]) -> NDArray[np.float64]:
        """``[M, P]`` the same over some ``[U]`` of the runs; NaN for problems without any."""
        owner, size = self.of_problem[counts], len(self.problems)
        sums = [np.bincount(owner, weights=row[counts], minlength=size) for row in self.logs]
        with np.errstate(invalid="ignore", divide="ignore"):
            means: NDArray[np.float64] = np.array(sums) / np.bincount(owner, minlength=size)
        return means


def gather(
    records: Sequence[Record],
    *,
    half: Half | None = None,
    methods: Sequence[str] | None = None,
    budget: str | None = None,
    mixed: Sequence[str] = (),
) -> Evidence:
    """Read records, and check that a rule can be fitted to them.

    Args:
        records: of one study.
        half: only the problems of this half of the suite.
        methods: labels of the candidates, beside ``none``; all methods that a plan can carry out
            and that was run on every problem unless given.
        budget: whose records, needed where there are several.
        mixed: what is mixed in the records, as ``check_comparable`` says it; without it, records
            of several versions are refused.

    Raises:
        RecordError: see ``study_of``.
        CalibrationError: no record of plain training with its profile, fewer than 4
            problems, no candidate beside ``none``, or a candidate without a run where plain
            training has one.
    """
    kept, notes = of_half(records, half)
    study = study_of(kept, budget=budget, notes=mixed)
    if not study.has_baseline:
        raise CalibrationError(
            f"expected runs of '{PLAIN}', which ratios are to and whose profiles decide, found "
            f"those of {', '.join(study.methods)}. Run them: suite run --methods {PLAIN},..."
        )
    study, profiles, more = profiled(study)
    templates, left_out = candidates(study, methods)
    check_complete(study, tuple(templates))
    problems = study.problems
    cells = [(p, run.seed) for p, name in enumerate(problems) for run in study.of(name, PLAIN)]
    return Evidence(
        labels=tuple(templates),
        templates=tuple(templates.values()),
        problems=problems,
        of_problem=np.array([p for p, _ in cells]),
        seeds=np.array([s for _, s in cells]),
        logs=np.array([_logs(study, label) for label in templates]),
        broken=np.array([[_broken(study, p, label) for p in problems] for label in templates]),
        profiles=tuple(profiles[problems[p], s] for p, s in cells),
        left_out=left_out,
        notes=(*notes, *more, *early(tuple(templates)), *study.mixtures),
        source=_source(study),
    )


def _logs(study: Study, label: str) -> list[float]:
    found = log_ratios(study, label, PLAIN)
    return [value for problem in study.problems for value in found[problem]]


def _broken(study: Study, problem: str, label: str) -> bool:
    pairs = [(a, b) for a, b in paired(study, problem, label, PLAIN) if b.finished]
    return 2 * sum(not a.finished for a, _ in pairs) > len(pairs)


def _source(study: Study) -> str:
    versions = sorted({str(r.record["versions"].get("conflictopt")) for r in study.runs})
    return (
        f"{len(study.runs)} records of {len(study.problems)} problems and {len(study.seeds)} "
        f"seeds, budget '{study.budget}', conflictopt {', '.join(versions)}"
    )
