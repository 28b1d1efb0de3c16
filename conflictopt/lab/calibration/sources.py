"""What of a study's records a rule is fitted to, and what cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...diagnosis.profile import Profile, ProfileError
from ...selection.plan_template import PlanTemplate
from ..problems.halves import Half, problems_of
from ..study_report.study import Study
from .calibration_error import CalibrationError
from .candidates import PLAIN, follows, template_of

Record = Mapping[str, Any]
FEWEST = 4
"""Problems without which nothing can be left out and the rest still be called several."""
_SHOWN = 3


def of_half(records: Sequence[Record], half: Half | None) -> tuple[list[Record], list[str]]:
    """The records of a half of the suite, and a note on the others.

    Raises:
        CalibrationError: there are none.
    """
    if half is None:
        return list(records), []
    wanted = set(problems_of(half))
    kept = [r for r in records if r.get("problem") in wanted]
    if not kept:
        raise CalibrationError(
            f"expected records of problems in the {half} half of the suite, found none among "
            f"{len(records)}."
        )
    others = len({r["problem"] for r in records} - wanted)
    return kept, [f"{others} problems are not in the {half} half."] if others else []


def candidates(
    study: Study, methods: Sequence[str] | None
) -> tuple[dict[str, PlanTemplate], dict[str, str]]:
    """Per label its template, ``none`` first; and per other method why it is none.

    Of two methods that are one plan, the one that begins after plain steps is the candidate. A
    method that was run on some of the problems only is one if it is asked for.

    Raises:
        CalibrationError: a method that was asked for has no run, two candidates are one plan, or
            none is left beside ``none``.
    """
    templates, left_out = {PLAIN: PlanTemplate("none")}, {}
    absent = [m for m in methods or () if m not in study.methods]
    if absent:
        raise CalibrationError(f"expected runs of {', '.join(absent)}, found none.")
    for label in sorted(study.others, key=lambda m: (not _later(m), m)):
        found, lacking = template_of(label), _without_run(study, label)
        if methods is not None and label not in methods:
            left_out[label] = "not asked for"
        elif isinstance(found, str):
            left_out[label] = found
        elif methods is None and lacking:
            left_out[label] = (
                f"no run on {len(lacking)} of {len(study.problems)} problems, such as {lacking[0]}"
            )
        elif found in templates.values():
            other = next(known for known, t in templates.items() if t == found)
            if follows(other) == follows(label):
                raise CalibrationError(
                    f"expected one method for each plan, found '{other}' and '{label}': choose "
                    "candidates with --methods."
                )
            left_out[label] = f"'{other}' is the same plan, and begins when a plan does"
        else:
            templates[label] = found
    if len(templates) < 2:
        raise CalibrationError(
            f"expected a method beside '{PLAIN}' that a plan can carry out, found "
            + ("; ".join(f"{m} ({why})" for m, why in left_out.items()) or "no other")
            + "."
        )
    ordered = {m: templates[m] for m in study.methods if m in templates}
    return ordered, left_out


def _without_run(study: Study, label: str) -> list[str]:
    """The problems on which a method was not run, of those that plain training was run on."""
    return [p for p in study.problems if study.of(p, PLAIN) and not study.of(p, label)]


def early(labels: Sequence[str]) -> list[str]:
    """A note on candidates that begin before a plan would."""
    found = [label for label in labels if not follows(label)]
    if not found:
        return []
    return [
        f"{', '.join(found)}: from the first step on, where a plan begins at the end of the "
        "profile (as METHOD+after:steps=N does)."
    ]


def _later(label: str) -> bool:
    """Whether it is a candidate that begins after plain steps."""
    return isinstance(template_of(label), PlanTemplate) and follows(label)


def profiled(study: Study) -> tuple[Study, dict[tuple[str, int], Profile], list[str]]:
    """The study where plain training has a profile, the profiles, and a note on the other runs.

    Raises:
        CalibrationError: no profile, or one that cannot be read.
    """
    plain = [run for run in study.runs if run.method == PLAIN]
    raw = {(r.problem, r.seed): r.record.get("profile") for r in plain}
    profiles = {cell: _profile(cell, found) for cell, found in raw.items() if found is not None}
    if not profiles:
        raise CalibrationError(
            f"expected records of '{PLAIN}' with the raw profile, found {len(plain)} without."
        )
    runs = tuple(run for run in study.runs if (run.problem, run.seed) in profiles)
    gone = len(study.runs) - len(runs)
    notes = [f"{gone} runs have no plain run with a profile beside them."] if gone else []
    return Study(runs, study.baseline, study.budget, study.mixtures), profiles, notes


def _profile(cell: tuple[str, int], raw: Any) -> Profile:
    try:
        # layers decide nothing, and their statistics are most of a diagnosis
        return replace(Profile.from_json(raw), blocks=(), block_gramians=None)
    except (AttributeError, KeyError, TypeError, ValueError, ProfileError) as error:
        raise CalibrationError(
            f"the record of {cell[0]}, {PLAIN}, seed {cell[1]} holds no readable profile: {error}"
        ) from None


def check_complete(study: Study, labels: tuple[str, ...]) -> None:
    """See to it that there are enough problems, and all runs of each.

    Raises:
        CalibrationError: fewer than ``FEWEST`` problems, or a candidate without a run where plain
            training has one.
    """
    if len(study.problems) < FEWEST:
        raise CalibrationError(
            f"expected at least {FEWEST} problems, found {len(study.problems)}: "
            f"{', '.join(study.problems)}. A rule that is left nothing to be tested on is no rule."
        )
    wanted = [(r.problem, r.seed) for r in study.runs if r.method == PLAIN]
    missing = [
        f"{label} on {p}, seed {s}"
        for label in labels
        for p, s in wanted
        if (p, label, s) not in study.cells
    ]
    if missing:
        shown = "; ".join(missing[:_SHOWN])
        more = f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise CalibrationError(
            f"expected every candidate on every problem and seed that '{PLAIN}' has, found "
            f"{len(missing)} missing: {shown}{more}. Run them, or choose candidates with --methods."
        )
