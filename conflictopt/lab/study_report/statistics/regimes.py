"""The regime of each problem by the baseline's runs, and their counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from .. import family
from ..run import PairConflict, Run
from ..study import Study
from .pairing import geometric_mean, mean

REGIMES = ("persistent", "magnitude", "benign")
SPLIT = "split"
UNDECIDED = "undecided"


@dataclass(frozen=True)
class ProblemRegime:
    """What the profiles of a problem say, one per seed.

    Attributes:
        group: for counting, see ``family.regime_group``.
        regime: that of most seeds; ``split`` if two lead, ``undecided`` if no profile decides.
        seeds: profiles that decide.
        agreement: share of them with the leading regime; ``None`` without any.
        norm_ratio: largest over smallest gradient norm, geometric mean over seeds.
        worst: the pair of losses with the lowest mean cosine in the last half; its numbers are
            means over seeds.
    """

    problem: str
    group: str
    regime: str
    seeds: int
    agreement: float | None
    norm_ratio: float | None
    worst: PairConflict | None


@dataclass(frozen=True)
class GroupRegimes:
    """Problems of a group per regime, beside what the paper's abstract states.

    Attributes:
        counts: by regime, ``split`` and ``undecided`` included.
        agreement: mean over the problems that have one with two seeds or more.
        stated: ``None`` where the abstract states none.
    """

    group: str
    counts: dict[str, int]
    agreement: float | None
    stated: str | None

    @property
    def problems(self) -> int:
        """All problems of the group."""
        return sum(self.counts.values())


def problem_regimes(study: Study) -> tuple[ProblemRegime, ...]:
    """The regime of every problem that the baseline has run."""
    found = []
    for problem in study.problems:
        runs = study.of(problem, study.baseline)
        if runs:
            found.append(_of_problem(problem, runs))
    return tuple(found)


def group_regimes(problems: tuple[ProblemRegime, ...]) -> tuple[GroupRegimes, ...]:
    """Count the regimes per group, groups in the order of the problems."""
    groups: dict[str, list[ProblemRegime]] = defaultdict(list)
    for problem in problems:
        groups[problem.group].append(problem)
    return tuple(_of_group(group, members) for group, members in groups.items())


def _of_problem(problem: str, runs: tuple[Run, ...]) -> ProblemRegime:
    counts = Counter(r.regime for r in runs if r.regime is not None)
    leading = [regime for regime in counts if counts[regime] == max(counts.values())]
    seeds = sum(counts.values())
    ratios = [r.norm_ratio for r in runs if r.norm_ratio is not None]
    return ProblemRegime(
        problem,
        family.regime_group(problem, runs[0].family),
        (leading[0] if len(leading) == 1 else SPLIT) if leading else UNDECIDED,
        seeds,
        max(counts.values()) / seeds if seeds else None,
        geometric_mean(ratios) if ratios else None,
        _worst_pair(runs),
    )


def _worst_pair(runs: tuple[Run, ...]) -> PairConflict | None:
    seen: dict[tuple[str, str], list[PairConflict]] = defaultdict(list)
    for run in runs:
        for pair in run.pairs:
            seen[pair.first, pair.second].append(pair)
    means = [
        PairConflict(
            *names, mean([p.conflict_late for p in same]), mean([p.cosine_late for p in same])
        )
        for names, same in seen.items()
    ]
    return min(means, key=lambda p: (p.cosine_late, p.first, p.second), default=None)


def _of_group(group: str, members: list[ProblemRegime]) -> GroupRegimes:
    counts = Counter(m.regime for m in members)
    several = [m.agreement for m in members if m.agreement is not None and m.seeds > 1]
    names = (*REGIMES, SPLIT, UNDECIDED)
    return GroupRegimes(
        group,
        {name: counts[name] for name in (*names, *sorted(set(counts) - set(names)))},
        mean(several) if several else None,
        family.stated_regime(group),
    )
