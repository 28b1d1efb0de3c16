"""Families of problems: their order, names, and what the paper's abstract says of them."""

from __future__ import annotations

PAPER = "arXiv 2605.10136"
"""Kim and N'guessan, Per-Loss Adapters for Gradient Conflict in PINNs; only its abstract."""

_TITLES = {
    "forward_k3": "Forward, K=3",
    "inverse_k3": "Inverse, K=3",
    "multiphysics_k4": "Multi-physics, K=4",
    "multiphysics_k5": "Multi-physics, K=5",
    "multiphysics_k6": "Multi-physics, K=6",
    "param_varying": "Parameter-varying",
    "high_dim": "High-dimensional",
}
_THERMOELASTIC = "Thermoelastic, K=4"
_STATED = {
    "Forward, K=3": "persistent",
    _THERMOELASTIC: "persistent",
    "Inverse, K=3": "magnitude",
    "Multi-physics, K=5": "magnitude",
    "Multi-physics, K=6": "magnitude",
}


def order(family: str) -> tuple[int, str]:
    """Key that sorts families: those of the suite first, then others by name."""
    known = list(_TITLES)
    return (known.index(family) if family in known else len(known), family)


def title(family: str) -> str:
    """What a family is called in tables; families of users keep their own name."""
    return _TITLES.get(family, family)


def regime_group(problem: str, family: str) -> str:
    """The group whose regimes are counted together.

    The family, except that the thermoelastic problems of ``multiphysics_k4``, of which the
    abstract speaks, are apart from the rest of it.
    """
    if family != "multiphysics_k4":
        return title(family)
    return _THERMOELASTIC if problem.startswith("thermoelastic") else "Other multi-physics, K=4"


def stated_regime(group: str) -> str | None:
    """The regime that the abstract states for a group; ``None`` where it states none."""
    return _STATED.get(group)
