"""What the evidence consists of: methods, seeds and problems, in stages."""

from __future__ import annotations

from adapterablation.grid import Stage

from conflictopt.experiment.methods import MethodExpression
from conflictopt.problems.suite import load_suite

BUDGET = "cpu"
BASELINE = "none"
SEEDS = (0, 1, 2)
AUTO = "auto"

FIXED = ("ntk", "pcgrad", "config", "lr_annealing", "grad_norm:form=one_sided")
"""Methods on the network as it is, from the first step on."""


def label(text: str) -> str:
    """A method expression in normal form."""
    return MethodExpression.parse(text).label


ADAPTERS, WIDE = label("adapters:attach=1000+ntk"), label("wide+ntk")
"""Adapters of the default design, and the network widened to as many parameters."""

GLOBAL = tuple(label(f"{name}:blocks=global") for name in ("pcgrad", "config"))
"""Surgery over all parameters at once, the unknowns of inverse problems included."""

METHODS = (BASELINE, AUTO, *map(label, FIXED[:3]), ADAPTERS, WIDE, *map(label, FIXED[3:]))


def inverse_problems() -> tuple[str, ...]:
    """The problems with unknowns: their parameter space is heterogeneous."""
    return tuple(p.id for p in load_suite().values() if p.family == "inverse_k3")


def stages() -> dict[str, Stage]:
    """All stages by name."""
    return {
        "methods": Stage(tuple(load_suite()), METHODS, SEEDS),
        "blocks": Stage(inverse_problems(), GLOBAL, SEEDS),
    }
