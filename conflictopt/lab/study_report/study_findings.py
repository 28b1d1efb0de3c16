"""Everything the report says, computed once."""

from __future__ import annotations

from dataclasses import dataclass

from .statistics.capacity import Capacity, capacities
from .statistics.inventory import Inventory, inventory_of
from .statistics.performance import Performance, performance_of
from .statistics.ratios import MethodRatio, all_ratios
from .statistics.regimes import ProblemRegime, problem_regimes
from .statistics.regret import Regret, regrets
from .statistics.shared import Shared, best_fixed, shared_of
from .statistics.signed_rank import SignedRank, signed_ranks
from .statistics.timing import TimeComparison, timings
from .statistics.worse import Worse, worse_of
from .study import Study


@dataclass(frozen=True, eq=False)
class StudyFindings:
    """The statistics of a study; empty where it lacks what they need.

    Attributes:
        rng_seed: of every bootstrap.
        best_fixed: label of the best fixed method; ``None`` without a shared problem.
        to_baseline, to_best: signed-rank tests against the baseline, and against that method.
    """

    study: Study
    rng_seed: int
    inventory: Inventory
    ratios: tuple[MethodRatio, ...]
    shared: Shared
    best_fixed: str | None
    to_baseline: tuple[SignedRank, ...]
    to_best: tuple[SignedRank, ...]
    performance: Performance | None
    regimes: tuple[ProblemRegime, ...]
    regrets: tuple[Regret, ...]
    timings: tuple[TimeComparison, ...]
    capacities: tuple[Capacity, ...]
    worse: tuple[Worse, ...]

    def ratio(self, method: str, family: str | None = None) -> MethodRatio | None:
        """A method's ratio to the baseline, overall or in a family."""
        wanted = (method, family)
        return next((r for r in self.ratios if (r.method, r.family) == wanted), None)


def findings_of(study: Study, rng_seed: int) -> StudyFindings:
    """Compute all statistics."""
    shared = shared_of(study)
    best = best_fixed(study, shared)
    regimes = problem_regimes(study)
    return StudyFindings(
        study,
        rng_seed,
        inventory_of(study),
        all_ratios(study, rng_seed),
        shared,
        best,
        signed_ranks(study, study.others, study.baseline) if study.has_baseline else (),
        signed_ranks(study, study.methods, best) if best else (),
        performance_of(study, shared),
        regimes,
        regrets(study, shared),
        timings(study, rng_seed),
        capacities(study, rng_seed),
        worse_of(study, regimes),
    )
