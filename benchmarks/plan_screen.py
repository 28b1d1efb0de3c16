"""Which plan ``auto`` should have: candidates on the calibration half, one seed.

``python benchmarks/plan_screen.py`` does the runs that have no record yet (about 40 minutes on two
cores) and writes the table of docs/evidence.md; ``--table`` writes it from the records alone,
``--check`` fails if it is stale. One seed screens candidates; it does not rank those near each
other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sections import refreshed

from conflictopt.experiment.budget import budget
from conflictopt.experiment.methods import MethodExpression
from conflictopt.experiment.records import load
from conflictopt.experiment.report.markdown import code, number, table
from conflictopt.experiment.report.statistics.pairing import geometric_mean, problem_ratios
from conflictopt.experiment.report.study import study_of
from conflictopt.experiment.study import run_study
from conflictopt.experiment.tasks import Task
from conflictopt.problems.suite import load_suite

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "results" / "plan_screen"
DOCUMENT = ROOT / "docs" / "evidence.md"
PROBLEMS = (
    *("helmholtz_2d_a2_3", "klein_gordon", "heat_2d_multiscale", "inverse_diffusion_1d"),
    *("advection_beta10", "reaction_rho10", "reaction_diffusion_nu3_rho5", "fokker_planck_1d"),
    *("brusselator_2d", "inverse_reaction_noise5", "hjb_10d", "biot_poroelastic_1d"),
    *("thermo_poroelastic_1d", "compressible_euler_1d", "maxwell_te_2d", "mhd_hartmann_ha5"),
    *("kdv_two_soliton", "euler_bernoulli_beam"),
)
FEW = (
    *("helmholtz_2d_a2_3", "klein_gordon", "brusselator_2d", "biot_poroelastic_1d"),
    "mhd_hartmann_ha5",
)
_LATE, _WEIGHTS = "attach=1000", "placement=weights:activation=linear"
METHODS = (
    *("none", "ntk", "lr_annealing", "grad_norm:form=one_sided", "pcgrad", "ntk+pcgrad"),
    *("rba:start_at=residual", "rba+ntk", "ntk+after", f"adapters:{_LATE}+ntk+after"),
    f"adapters:placement=hidden:{_LATE}+ntk+after",
    f"adapters:{_WEIGHTS}:{_LATE}+ntk+after",
)
MORE = (
    *("pcgrad+after", "upgrad+after"),
    f"adapters:placement=hidden:{_LATE}+ntk+pcgrad+after",
    f"adapters:{_WEIGHTS}:{_LATE}+ntk+pcgrad+after",
    f"adapters:{_WEIGHTS}:{_LATE}+pcgrad+after",
    f"adapters:{_WEIGHTS}:rank=8:{_LATE}+ntk+after",
    f"adapters:{_WEIGHTS}:scale=sum:{_LATE}+ntk+after",
    f"adapters:{_WEIGHTS}:learning_rate=3.0:{_LATE}+ntk+after",
    f"adapters:placement=weights:{_LATE}+ntk+after",
    f"adapters:{_WEIGHTS}:attach=300+ntk+after:steps=300",
)
STAGES = ((PROBLEMS, METHODS), (FEW, MORE))


def run(workers: int) -> None:
    """Do the runs that have no record yet."""
    # the rate of the time; benchmarks/learning_rates.py then showed it to be too low
    suite, limit = load_suite(), replace(budget("cpu"), learning_rate=1e-3)
    for problems, methods in STAGES:
        tasks = [
            Task(suite[p], MethodExpression.parse(m), 0, limit) for p in problems for m in methods
        ]
        run_study(tasks, RECORDS, workers=workers, on_progress=lambda r: print(r.task.label))


def sections() -> Iterator[tuple[str, str]]:
    """Per candidate its ratio to plain training, on all problems and on the few."""
    study = study_of(load(RECORDS))
    rows = []
    for method in (MethodExpression.parse(m).label for m in (*METHODS[1:], *MORE)):
        found = problem_ratios(study, method, "none")
        everywhere = f"{geometric_mean(list(found.values())):.2f}" if len(found) > len(FEW) else "-"
        few = geometric_mean([found[p] for p in FEW])
        rows.append((few, [code(method), everywhere, f"{few:.2f}", number(max(found.values()), 2)]))
    rows.sort(key=lambda row: row[0])
    heads = ["candidate", f"{len(PROBLEMS)} problems", f"{len(FEW)} of them", "worst"]
    yield "tried", table(heads, [cells for _, cells in rows], "l")


def main() -> None:
    """Run, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="write the table, run nothing")
    parser.add_argument("--check", action="store_true", help="fail if the table is stale")
    options = parser.parse_args()
    if not (options.table or options.check):
        run(options.workers)
    text = refreshed(DOCUMENT, "benchmarks/plan_screen.py", sections())
    if options.check:
        sys.exit(int(text != DOCUMENT.read_text(encoding="utf-8")))
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
