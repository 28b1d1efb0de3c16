"""What the evidence consists of: methods, seeds and problems, in stages."""

from __future__ import annotations

from conflictopt.lab.problems.suite import load_suite
from conflictopt.methods.expression import MethodExpression

from ..adapter_ablation.grid import Stage

BUDGET = "cpu"
BASELINE = "none"
SEEDS = (0, 1, 2)
AUTO = "auto:curvature=False"
"""What ``auto`` does where no steps on residuals can be taken: its rule alone."""

FIXED = ("ntk", "pcgrad", "config", "lr_annealing", "grad_norm:form=one_sided")
"""Methods on the network as it is, from the first step on."""


def label(text: str) -> str:
    """A method expression in normal form."""
    return MethodExpression.parse(text).label


ADAPTERS, WIDE = label("adapters:attach=1000+ntk"), label("wide+ntk")
"""Adapters of the default design, and the network widened to as many parameters."""

SHORT = label("auto:profile_steps=300:curvature=False")
"""``auto`` with a profile of a tenth of these runs; that of the budget is a third."""

GLOBAL = tuple(label(f"{name}:blocks=global") for name in ("pcgrad", "config"))
"""Surgery over all parameters at once, the unknowns of inverse problems included."""

PLAN = label("ntk+pcgrad+after")
"""What ``auto`` does after its profile, if it does anything."""

RESTED = (
    "laplace_annulus",
    "kuramoto_sivashinsky_front",
    "kovasznay_re20",
    "beltrami_3d",
    "brusselator_2d",
    "inverse_burgers_noise1",
    "inverse_kovasznay_noise1",
    "inverse_taylor_green_noise1",
    "inverse_brusselator_2d_noise1",
    "burgers_nu0p1",
    "kovasznay_re40",
    "kovasznay_re100",
    "heat_5d_ball",
    "heat_10d",
    "hjb_10d",
    "hjb_50d",
    "convection_diffusion_20d",
)
"""The problems on which ``auto`` did nothing with one seed or more."""

METHODS = (BASELINE, AUTO, *map(label, FIXED[:3]), ADAPTERS, WIDE, *map(label, FIXED[3:]))


def inverse_problems() -> tuple[str, ...]:
    """The problems with unknowns: their parameter space is heterogeneous."""
    return tuple(p.id for p in load_suite().values() if p.family == "inverse_k3")


def stages() -> dict[str, Stage]:
    """All stages by name."""
    return {
        "methods": Stage(tuple(load_suite()), METHODS, SEEDS),
        "blocks": Stage(inverse_problems(), GLOBAL, SEEDS),
        "rested": Stage(RESTED, (PLAN,), SEEDS),
        "short": Stage(tuple(load_suite()), (SHORT,), SEEDS[:1]),
    }
