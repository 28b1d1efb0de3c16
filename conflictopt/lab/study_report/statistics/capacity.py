"""Adapters against networks that are as large without them."""

from __future__ import annotations

from dataclasses import dataclass

from ..label import rest_after
from ..study import Study
from .pairing import geometric_mean, paired
from .ratios import MethodRatio, method_ratio
from .signed_rank import SignedRank, corrected, rank_test

_PLAIN = ("", "none", "sum")
"""What may follow where nothing else is done."""


@dataclass(frozen=True)
class Capacity:
    """A method with adapters against the same on a widened network.

    Attributes:
        ratio: of errors, adapters over wide.
        test: over problems, corrected for the number of such comparisons.
        parameters: of all that is trained, adapters over wide, geometric mean over runs.
    """

    ratio: MethodRatio
    test: SignedRank
    parameters: float | None


def capacity_pairs(methods: tuple[str, ...]) -> list[tuple[str, str]]:
    """Labels ``adapters...+NAME`` with ``wide...+NAME``, wherever both are there."""
    return [
        (adapters, wide)
        for adapters in methods
        for wide in methods
        if (a := rest_after("adapters", adapters)) is not None
        and (w := rest_after("wide", wide)) is not None
        and (a == w or (a in _PLAIN and w in _PLAIN))
    ]


def capacities(study: Study, rng_seed: int) -> tuple[Capacity, ...]:
    """Compare every such pair."""
    pairs = capacity_pairs(study.methods)
    tests = [rank_test(study, a, w) for a, w in pairs]
    return tuple(
        Capacity(
            method_ratio(study, a, w, None, rng_seed),
            test,
            _parameters(study, a, w),
        )
        for (a, w), test in zip(pairs, corrected(tests), strict=True)
    )


def _parameters(study: Study, adapters: str, wide: str) -> float | None:
    ratios = [
        a.parameters / w.parameters
        for problem in study.problems
        for a, w in paired(study, problem, adapters, wide)
        if a.parameters and w.parameters
    ]
    return geometric_mean(ratios) if ratios else None
