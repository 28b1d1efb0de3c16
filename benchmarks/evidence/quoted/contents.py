"""Everything that documents quote from records, but those of the evidence on the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...documents.sections import Part
from .adapter_ablation import adapter_ablation
from .auto import auto
from .curvature_cost import curvature_cost
from .deepxde_examples import deepxde_examples
from .plan_screens import plan_screens
from .solver_cost import solver_cost
from .step_cost import step_cost
from .suite_cost import suite_cost
from .suite_regimes import suite_regimes
from .synthetic_regimes import synthetic_regimes


def parts(results: Path) -> Iterator[Part]:
    """The numbers and figures.

    Args:
        results: the folder of all records.
    """
    yield from step_cost(results)
    yield from solver_cost(results)
    yield from curvature_cost(results)
    yield from suite_cost(results)
    yield from synthetic_regimes(results)
    yield from suite_regimes(results)
    yield from adapter_ablation(results)
    yield from plan_screens()
    yield from deepxde_examples(results)
    yield from auto(results)
