"""What regimes are called, and what the terms of a report mean."""

from __future__ import annotations

from collections.abc import Mapping

from ..diagnosis.numbers import DiagnosisNumbers

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


def terms(diagnosis: DiagnosisNumbers) -> dict[str, str]:
    """``TERMS`` with the thresholds of a diagnosis filled in."""
    limits = vars(diagnosis.thresholds)
    return {term: text.format(**limits) for term, text in TERMS.items()}
