"""The learning rate of the budget ``cpu``: what plain Adam does best with, on the calibration half.

``python -m benchmarks.learning_rates`` does the runs that have no record yet (about ten minutes on
two cores) and writes the table of docs/evidence.md; ``--table`` writes it from the records alone,
``--check`` fails if it is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import Budget, budget
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.lab.study_report.markdown import code, table
from conflictopt.lab.study_report.statistics.pairing import counted_error, geometric_mean
from conflictopt.lab.study_report.study import Study, study_of
from conflictopt.methods.expression import MethodExpression

from . import RECORDS, ROOT
from .documents.studyscript import main

STUDIES = RECORDS / "learning_rates"
DOCUMENT = ROOT / "docs" / "evidence.md"
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
PROBLEMS = (
    *("helmholtz_2d_a2_3", "klein_gordon", "inverse_diffusion_1d", "advection_beta10"),
    *("reaction_rho10", "reaction_diffusion_nu3_rho5", "fokker_planck_1d", "brusselator_2d"),
    *("biot_poroelastic_1d", "thermo_poroelastic_1d", "compressible_euler_1d"),
    "mhd_hartmann_ha5",
)


def limit_of(rate: float) -> Budget:
    """The budget at a learning rate."""
    return replace(budget("cpu"), learning_rate=rate)


def folder_of(rate: float) -> Path:
    """The records of a learning rate."""
    return STUDIES / f"{rate:g}"


def run(workers: int) -> None:
    """Do the runs that have no record yet."""
    suite, plain = load_suite(), MethodExpression.parse("none")
    for rate in RATES:
        tasks = [StudyTask(suite[p], plain, 0, limit_of(rate)) for p in PROBLEMS]
        run_study(
            tasks, folder_of(rate), workers=workers, on_progress=lambda r: print(r.task.label)
        )


def studies() -> dict[float, Study]:
    """The records of every rate."""
    return {rate: study_of(load(folder_of(rate))) for rate in RATES}


def ratios() -> dict[float, list[float]]:
    """Per rate, the error on each problem over that at the lowest rate."""
    found = studies()

    def errors(study: Study) -> list[float]:
        return [counted_error(study, study.of(p, "none")[0]) for p in PROBLEMS]

    first = errors(found[RATES[0]])
    return {
        rate: [a / b for a, b in zip(errors(s), first, strict=True)] for rate, s in found.items()
    }


def sections() -> Iterator[tuple[str, str]]:
    """Per rate the ratio to the lowest rate, in the mean and on every problem."""
    heads = ["learning rate", "geometric mean", *map(code, PROBLEMS)]
    rows = [
        [f"{rate:g}", f"{geometric_mean(values):.2f}", *(f"{v:.2g}" for v in values)]
        for rate, values in ratios().items()
    ]
    yield "learning rates", table(heads, rows, "l")


if __name__ == "__main__":
    main(__doc__, "python -m benchmarks.learning_rates", DOCUMENT, run, sections)
