"""Which plan ``auto`` should have: candidates on the calibration half.

``python -m benchmarks.plan_screen`` does the runs that have no record yet (about two and a half
hours on two cores) and writes the tables of docs/evidence.md; ``--table`` writes them from the
records alone, ``--check`` fails if one is stale. One seed screens candidates; it does not rank
those near each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import Budget, budget
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.lab.study_report.markdown import code, table
from conflictopt.lab.study_report.statistics.pairing import geometric_mean, problem_ratios
from conflictopt.lab.study_report.study import Study, study_of
from conflictopt.methods.expression import MethodExpression
from conflictopt.wording import number

from . import RECORDS, ROOT
from .documents.studyscript import main

DOCUMENT = ROOT / "docs" / "evidence.md"
_CORE = (
    *("helmholtz_2d_a2_3", "klein_gordon", "inverse_diffusion_1d", "advection_beta10"),
    *("reaction_rho10", "reaction_diffusion_nu3_rho5", "fokker_planck_1d", "brusselator_2d"),
    *("biot_poroelastic_1d", "thermo_poroelastic_1d", "compressible_euler_1d"),
    "mhd_hartmann_ha5",
)
_WIDER = (
    *("heat_2d_multiscale", "inverse_reaction_noise5", "hjb_10d", "maxwell_te_2d"),
    *("kdv_two_soliton", "euler_bernoulli_beam"),
)
_FEW = (
    *("helmholtz_2d_a2_3", "klein_gordon", "brusselator_2d", "biot_poroelastic_1d"),
    "mhd_hartmann_ha5",
)
_IMBALANCED = (
    *("diffusion_reaction_1d", "euler_bernoulli_beam", "klein_gordon", "mhd_hartmann_ha5"),
    *("helmholtz_2d_a1_1", "helmholtz_2d_a1_4", "helmholtz_2d_a2_3", "helmholtz_2d_a4_4"),
)
"""Imbalanced by the profile of their first seed."""
_TREATED = (
    *_CORE,
    *("advection_beta20", "advection_beta30", "advection_beta40"),
    *("black_scholes_10d", "cahn_hilliard_1d", "diffusion_reaction_1d"),
    *("euler_bernoulli_beam", "heat_1d", "heat_2d_multiscale"),
    *("helmholtz_2d_a1_1", "helmholtz_2d_a1_4", "helmholtz_2d_a4_4"),
    *("inverse_fokker_planck_noise1", "inverse_helmholtz_2d_noise2", "inverse_kdv"),
    *("inverse_reaction_noise5", "inverse_schrodinger_1d", "kdv_two_soliton"),
    *("maxwell_te_2d", "mhd_alfven_2d", "piezoelectric_1d"),
    *("reaction_rho2", "reaction_rho5", "schrodinger_1d"),
)
"""The problems of the calibration half on whose first seed ``auto`` does something."""
_LATE, _WEIGHTS = "attach=1000", "placement=weights:activation=linear"
_LAST = f"adapters:{_LATE}+ntk+after"
_HIDDEN = f"adapters:placement=hidden:{_LATE}+ntk+after"
_DELTAS = f"adapters:{_WEIGHTS}:{_LATE}+ntk+after"


@dataclass(frozen=True)
class Screen:
    """Candidates at one learning rate.

    Attributes:
        name: of its records and its table.
        rate: the learning rate.
        constant: whether it stays; else it falls along a cosine.
        problems, methods: of its runs, every combination.
        few, more: further methods on some of the problems.
        seeds: of its runs.
        history: methods that conflictopt no longer has: their records are told, never made.
    """

    name: str
    rate: float
    problems: tuple[str, ...]
    methods: tuple[str, ...]
    few: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    constant: bool = False
    history: tuple[str, ...] = ()

    @property
    def runs(self) -> list[tuple[str, str, int]]:
        """Problems, methods and seeds."""
        parts = ((self.problems, self.methods), (self.few, self.more))
        return [
            (p, m, seed)
            for seed in self.seeds
            for problems, methods in parts
            for p in problems
            for m in methods
        ]

    @property
    def budget(self) -> Budget:
        """Of its runs."""
        limit = replace(budget("cpu"), learning_rate=self.rate)
        return replace(limit, final_rate=self.rate) if self.constant else limit

    def study(self) -> Study:
        """Its records."""
        return study_of(load(RECORDS / self.name))


SCREENS = (
    Screen(
        "plan_screen",
        1e-3,
        (*_CORE, *_WIDER),
        (
            *("none", "ntk", "lr_annealing", "grad_norm:form=one_sided", "pcgrad", "ntk+pcgrad"),
            *("rba:start_at=residual", "rba+ntk", "ntk+after", _LAST, _HIDDEN, _DELTAS),
            *("pcgrad+after", "ntk+pcgrad+after", "lr_annealing+pcgrad+after"),
        ),
        _FEW,
        (
            "upgrad+after",
            f"adapters:placement=hidden:{_LATE}+ntk+pcgrad+after",
            f"adapters:{_WEIGHTS}:{_LATE}+ntk+pcgrad+after",
            f"adapters:{_WEIGHTS}:{_LATE}+pcgrad+after",
            f"adapters:{_WEIGHTS}:rank=8:{_LATE}+ntk+after",
            f"adapters:{_WEIGHTS}:scale=sum:{_LATE}+ntk+after",
            f"adapters:{_WEIGHTS}:learning_rate=3.0:{_LATE}+ntk+after",
            f"adapters:placement=weights:{_LATE}+ntk+after",
            f"adapters:{_WEIGHTS}:attach=300+ntk+after:steps=300",
        ),
    ),
    Screen(
        "plan_screen_constant",
        1e-3,
        (*_CORE, *_WIDER),
        ("none", "ntk", "pcgrad", "ntk+after", "pcgrad+after", "ntk+pcgrad+after"),
        constant=True,
    ),
    Screen(
        "plan_screen_cpu",
        1.6e-2,
        _CORE,
        (
            *("none", "ntk", "pcgrad", "lr_annealing", "ntk+after", "pcgrad+after"),
            *("ntk+pcgrad+after", "ntk+upgrad+after", "ntk+config+after", _LAST, _HIDDEN, _DELTAS),
            f"adapters:{_LATE}+ntk+pcgrad+after",
            f"adapters:{_WEIGHTS}:{_LATE}+ntk+pcgrad+after",
            *(f"ntk:momentum={m}+pcgrad+after" for m in ("0.0", "0.5", "0.97")),
            f"adapters:learning_rate=0.1:{_LATE}+ntk+after",
            f"adapters:learning_rate=0.1:{_LATE}+ntk+pcgrad+after",
            *("ntk+pcgrad", "ntk+pcgrad+after:steps=300"),
            *("lr_annealing+after", "lr_annealing+pcgrad+after"),
            *(f"grad_norm:form=one_sided+{rest}" for rest in ("after", "pcgrad+after")),
        ),
        history=("auto:look=race", "auto:rediagnose_every=1000"),
    ),
    Screen(
        "plan_screen_imbalanced",
        1.6e-2,
        _IMBALANCED,
        ("none", "ntk+after", "pcgrad+after", "ntk+pcgrad+after"),
        seeds=(0, 1, 2),
    ),
    Screen(
        "plan_screen_profile",
        1.6e-2,
        _TREATED,
        ("none", "auto:curvature=False", "ntk+pcgrad+after:steps=300"),
    ),
)


def run(workers: int) -> None:
    """Do the runs that have no record yet."""
    suite = load_suite()
    for screen in SCREENS:
        tasks = [
            StudyTask(suite[p], MethodExpression.parse(m), seed, screen.budget)
            for p, m, seed in screen.runs
        ]
        folder = RECORDS / screen.name
        run_study(tasks, folder, workers=workers, on_progress=lambda r: print(r.task.label))


def sections() -> Iterator[tuple[str, str]]:
    """Per screen and candidate its ratio to plain training, and the worst problem."""
    for screen in SCREENS:
        study = screen.study()
        rows = [_row(study, screen, m) for m in study.methods if m != study.baseline]
        rows.sort(key=lambda row: row[0])
        few = [f"{len(screen.few)} of them"] if screen.few else []
        heads = ["candidate", f"{len(screen.problems)} problems", *few, "worst problem"]
        yield screen.name.replace("_", " "), table(heads, [cells for _, cells in rows], "l")


def _row(study: Study, screen: Screen, method: str) -> tuple[float, list[str]]:
    found = problem_ratios(study, method, study.baseline)
    some = geometric_mean([found[p] for p in screen.few or screen.problems])
    full = len(found) == len(screen.problems)
    cells = [code(method), f"{geometric_mean(list(found.values())):.2f}" if full else "-"]
    cells += [f"{some:.2f}"] if screen.few else []
    worst = max(found, key=lambda p: found[p])
    return some, [*cells, f"{number(found[worst], 2)} ({code(worst)})"]


if __name__ == "__main__":
    main(__doc__, "python -m benchmarks.plan_screen", DOCUMENT, run, sections)
