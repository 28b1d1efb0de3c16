"""Geometric-mean ratio of one method's error to another's, per family and overall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..study import Study
from .bootstrap import Interval, mean_interval
from .pairing import log_ratios, mean, paired


@dataclass(frozen=True)
class Ratio:
    """Geometric mean of a ratio: over seeds within a problem, then over problems.

    Attributes:
        value: the ratio; below 1 the method has the smaller error.
        interval: 95% confidence interval; ``None`` with too few problems.
        problems, pairs: what went in; a pair is one problem and seed.
    """

    value: float
    interval: Interval | None
    problems: int
    pairs: int


@dataclass(frozen=True)
class MethodRatio:
    """One method against another in one family.

    Attributes:
        family: ``None`` for all problems.
        ratio: ``None`` where no problem and seed has both methods.
        failed, failed_against: runs among the pairs that failed or diverged, of either method.
    """

    method: str
    against: str
    family: str | None
    ratio: Ratio | None
    failed: int
    failed_against: int


def ratio_of(groups: Sequence[Sequence[float]], rng_seed: int) -> Ratio | None:
    """Ratio and interval from log ratios, one group of seeds per problem."""
    if not groups:
        return None
    value = math.exp(mean([mean(list(g)) for g in groups]))
    logs = mean_interval(groups, rng_seed=rng_seed)
    interval = Interval(math.exp(logs.low), math.exp(logs.high)) if logs else None
    return Ratio(value, interval, len(groups), sum(len(g) for g in groups))


def method_ratio(
    study: Study, method: str, against: str, family: str | None, rng_seed: int
) -> MethodRatio:
    """The ratio of counted errors of two methods, paired by problem and seed."""
    members = study.members(family)
    logs = log_ratios(study, method, against)
    pairs = [pair for p in members for pair in paired(study, p, method, against)]
    return MethodRatio(
        method,
        against,
        family,
        ratio_of([logs[p] for p in members if p in logs], rng_seed),
        sum(not a.finished for a, _ in pairs),
        sum(not b.finished for _, b in pairs),
    )


def all_ratios(study: Study, rng_seed: int) -> tuple[MethodRatio, ...]:
    """Every method against the baseline, overall (``family`` ``None``) and in every family."""
    return tuple(
        method_ratio(study, method, study.baseline, family, rng_seed)
        for method in study.others
        for family in (None, *study.families)
        if study.has_baseline
    )
