"""Ratios of errors of the default adapters, attached after the profile, with ``ntk``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conflictopt.lab.study_report.study import Study

from ...adapter_ablation.compare import Compared, over_problems, over_seeds
from ...adapter_ablation.grid import LATER, PROBLEMS, STAGES
from ...adapter_ablation.tables import of_seeds, read_study
from ...documents.sections import Number, Part
from .reading import interval

NTK, WIDE, ADAPTERS = LATER[0], LATER[1], LATER[3]
OTHERS = {"none": "none", "ntk": NTK, "wide": WIDE}
SURE = ("heat_1d", "compressible_euler_1d")
"""Where ten other seeds are quoted."""


def adapter_ablation(results: Path) -> Iterator[Part]:
    """The numbers of docs/adapters.md."""
    study = read_study(results / "adapter_ablation")
    for name, text in (*_over_problems(study), *_over_seeds(study)):
        yield Number(f"ablation: {name}", text)


def _over_problems(whole: Study) -> Iterator[tuple[str, str]]:
    study = of_seeds(whole, STAGES["later"].seeds)
    found = {n: _made(over_problems(study, ADAPTERS, o, PROBLEMS)) for n, o in OTHERS.items()}
    for name, row in found.items():
        yield f"adapters over {name}", interval(row.ratio, row.low, row.high)
    for name in ("none", "ntk"):
        yield f"adapters over {name}, worst", f"{found[name].worst:.2f}"
    yield "adapters below ntk", f"{found['ntk'].lower} of {found['ntk'].pairs}"
    config = _made(over_problems(study, "config", "none", PROBLEMS))
    yield "config over none, worst", f"{config.worst:.0f}"


def _over_seeds(whole: Study) -> Iterator[tuple[str, str]]:
    study = of_seeds(whole, STAGES["decide"].seeds)
    for problem in SURE:
        found = _made(over_seeds(study, ADAPTERS, NTK, problem))
        yield f"{problem}, adapters over ntk", f"{found.ratio:.2f}"
        yield f"{problem}, adapters below ntk", f"{found.lower} of {found.pairs}"


def _made(found: Compared | None) -> Compared:
    if found is None:
        raise SystemExit("expected the records of the ablation, found none of a comparison.")
    return found
