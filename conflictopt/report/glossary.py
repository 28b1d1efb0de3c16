"""Plain words for regimes, checks and statistics: one place for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..diagnosis.bootstrap import RESAMPLES
from ..diagnosis.checks import Check
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.pair_statistics import PairStatistics

REGIMES: Mapping[str, str] = {
    "persistent": "persistent conflict",
    "magnitude": "imbalanced gradients",
    "benign": "no lasting conflict",
}
"""What the regimes are called."""

TERMS: Mapping[str, str] = {
    "Loss and gradient": (
        "The network is trained on several losses at once: how far it is from solving the "
        "equation (pde), from the boundary values, from the initial values, from data. The "
        "gradient of a loss says how all weights of the network would have to move for that one "
        "loss to fall fastest. Training adds the gradients up and takes a step."
    ),
    "Cosine": (
        "The cosine compares the directions of two gradients: +1 for the same direction, 0 for "
        "directions that have nothing to do with each other, -1 for opposite ones. Below 0, a step "
        "that followed one of the losses alone would make the other worse."
    ),
    "Conflict": (
        "A sample conflicts when the cosine is below {conflict_below:g}. Every training has some "
        "such samples; they matter when they persist. A pair of losses is in persistent conflict "
        "when at least {persistent_fraction:.0%} of the samples of the second half of the profile "
        "conflict and their mean cosine is at most {persistent_cosine:g}. 'Faded' marks a pair for "
        "which this held in the first or the second quarter only."
    ),
    "Severity": (
        "How strongly two gradients oppose each other on average over the profile: the mean of "
        "the cosines' negative part. 0 if they never do, 1 if they are always opposite."
    ),
    "Gradient norm": (
        "The length of a gradient: how hard a loss pulls. If one loss pulls much harder than "
        "another, the step is its step, and the other loss hardly has a say. The ratio is the "
        "largest norm divided by the smallest, averaged (geometrically) over the profile; from "
        "{magnitude_ratio:g} on the gradients are called imbalanced."
    ),
    "What survives the sum": (
        "The length of the summed gradient as a share of the lengths of its parts: 100% if all "
        "point the same way, 0% if they cancel. The alignment score says the same of the "
        "directions alone, in [-1, 1]."
    ),
    "Confidence and margin": (
        "The profile is a sample of a noisy process. It is resampled many times, in blocks of "
        "successive samples; the confidence is the share of those resamples that come to the same "
        "verdict, and the 90% intervals are where the numbers lie in nine of ten of them. The "
        "margin says the same in standard errors: how far the verdict is from the nearest other "
        "one. A confidence below {enough_confidence:.0%} is called too close, fewer than "
        "{enough_samples} samples too short. None of this says that another start of the training "
        "would look alike, or that the plan will help."
    ),
    "Reweighting": (
        "Each loss is multiplied by a weight that follows the training, so that none is drowned "
        "out."
    ),
    "Gradient surgery": (
        "Gradients are changed before they are summed, so that the step makes no loss worse, or "
        "treats them all alike."
    ),
    "Adapters": (
        "Small additional branches in the network, one for each loss, that give the losses "
        "something of their own to change. They do not change the network's output when they are "
        "attached."
    ),
}
"""The terms of the report, for somebody who meets them for the first time."""


def terms(diagnosis: Diagnosis) -> dict[str, str]:
    """``TERMS`` with the thresholds of a diagnosis filled in."""
    limits = vars(diagnosis.thresholds)
    return {term: text.format(**limits) for term, text in TERMS.items()}


class CheckRow(NamedTuple):
    """One check, in words."""

    what: str
    value: str
    interval: str
    threshold: str
    holds: str


CHECK_HEADINGS = ("check", "found", "90% interval", "threshold", "holds?")


def check_rows(diagnosis: Diagnosis) -> list[CheckRow]:
    """The checks in words: two of the pair nearest to persistent conflict, one of the norms."""
    whats: list[tuple[str, Callable[[float], str]]]
    whats = [("largest / smallest gradient norm", factor)]
    if diagnosis.pairs:
        conflict = ("samples in conflict, 2nd half", "{:.0%}".format)
        whats = [conflict, ("mean cosine, 2nd half", "{:+.2f}".format), *whats]
    known = diagnosis.samples > 2
    rows = zip(diagnosis.checks, whats, strict=True)
    return [_row(check, what, shape, known) for check, (what, shape) in rows]


def check_note(diagnosis: Diagnosis) -> str:
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


def agreement_sentence(diagnosis: Diagnosis) -> str:
    """How much of the gradients is left when they are summed."""
    found = diagnosis.agreement
    return (
        f"Of the gradients' lengths {found.cancellation_late:.0%} survive when they are summed "
        f"(second half; 100% if all agree). Alignment score {found.alignment_late:+.2f} "
        "(-1 opposed, +1 the same direction)."
    )


def certainty_sentence(diagnosis: Diagnosis) -> str:
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


def by_conflict(diagnosis: Diagnosis) -> list[PairStatistics]:
    """The pairs, from the one nearest to persistent conflict on."""
    worst = diagnosis.worst_pair
    return sorted(diagnosis.pairs, key=lambda p: (p is not worst, p.cosine_late))


def share(value: float) -> str:
    """A share that is not rounded to all or nothing."""
    if 0.995 <= value < 1:
        return "more than 99%"
    return "less than 1%" if 0 < value < 0.005 else f"{value:.0%}"


def factor(value: float) -> str:
    """How many times, in digits as long as one can read them."""
    if value < 999.5:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def counted(number: int, noun: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def capital(words: str) -> str:
    """With a capital first letter."""
    return words[:1].upper() + words[1:]
