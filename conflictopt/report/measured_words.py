"""What was measured, in words: checks, certainty, agreement."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..diagnosis.bootstrap import RESAMPLES
from ..diagnosis.checks import Check
from ..diagnosis.numbers import DiagnosisNumbers
from ..diagnosis.pair_statistics import PairStatistics
from ..wording import counted, factor, percent, share
from .glossary import REGIMES


class CheckRow(NamedTuple):
    """One check, in words."""

    what: str
    value: str
    interval: str
    threshold: str
    holds: str


CHECK_HEADINGS = ("check", "found", "90% interval", "threshold", "holds?")


def check_rows(diagnosis: DiagnosisNumbers) -> list[CheckRow]:
    """The checks in words: two of the pair nearest to persistent conflict, one of the norms."""
    whats: list[tuple[str, Callable[[float], str]]]
    whats = [("largest / smallest gradient norm", factor)]
    if diagnosis.pairs:
        conflict = ("samples in conflict, 2nd half", percent)
        whats = [conflict, ("mean cosine, 2nd half", "{:+.2f}".format), *whats]
    known = diagnosis.samples > 2
    rows = zip(diagnosis.checks, whats, strict=True)
    return [_row(check, what, shape, known) for check, (what, shape) in rows]


def check_note(diagnosis: DiagnosisNumbers) -> str:
    """How the checks make a verdict, and of which pair they are."""
    pair = diagnosis.worst_pair
    if pair is None:
        return "One loss has no other to conflict with."
    return (
        f"The first two are of '{pair.first}' and '{pair.second}', the pair nearest to persistent "
        "conflict, which it is if both hold. Else, if the last holds, gradients are imbalanced."
    )


def _row(check: Check, what: str, shape: Callable[[float], str], known: bool) -> CheckRow:
    side = "at least" if check.relation == ">=" else "at most"
    interval = f"{shape(check.low)} to {shape(check.high)}" if known else "unknown"
    holds = "yes" if check.holds else "no"
    return CheckRow(what, shape(check.value), interval, f"{side} {shape(check.threshold)}", holds)


def agreement_sentence(diagnosis: DiagnosisNumbers) -> str:
    """How much of the gradients is left when they are summed."""
    found = diagnosis.agreement
    return (
        f"Of the gradients' lengths {share(found.cancellation_late)} survive in their sum (second "
        f"half; 100% if all agree); alignment score {found.alignment_late:+.2f} (-1 to +1)."
    )


def conflict_sentence(diagnosis: DiagnosisNumbers) -> str:
    """How often losses conflicted, from the gradients to what the optimizer did."""
    found = diagnosis.conflicts
    told = f"Gradients conflict in {share(found.gradients)} of the samples, their sum"
    if found.update is None:
        return f"{told} with one of them in {share(found.sum)}."
    return f"{told} in {share(found.sum)}, the optimizer's step in {share(found.update)}."


def certainty_sentence(diagnosis: DiagnosisNumbers) -> str:
    """Confidence and margin."""
    first, last = diagnosis.steps
    when = f"steps {first} to {last}" if last > first else f"step {first}"
    basis = f"{counted(diagnosis.samples, 'sample')}, {when}"
    if diagnosis.too_short:
        return f"unknown: {basis}, too few for that."
    errors = f"{diagnosis.margin:.1f}" if diagnosis.margin < 10 else "more than 10"
    return (
        f"of {RESAMPLES} random resamplings of the profile {share(diagnosis.confidence)} say "
        f"'{REGIMES[diagnosis.regime]}', and the nearest other verdict is {errors} standard errors "
        f"away ({basis})."
    )


def by_conflict(diagnosis: DiagnosisNumbers) -> list[PairStatistics]:
    """The pairs, from the one nearest to persistent conflict on."""
    worst = diagnosis.worst_pair
    return sorted(diagnosis.pairs, key=lambda p: (p is not worst, p.cosine_late))
