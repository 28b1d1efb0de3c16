"""Synthetic records: every key of the schema, and only what a test asks for is particular."""

from __future__ import annotations

import math
import zlib
from itertools import pairwise

import numpy as np

FAMILIES = {
    "forward_k3": 28,
    "inverse_k3": 14,
    "multiphysics_k4": 6,
    "multiphysics_k5": 5,
    "multiphysics_k6": 4,
    "param_varying": 17,
    "high_dim": 11,
}
"""The suite's families and their sizes."""
_LOSSES = {4: ("momentum", "energy", "bc", "ic"), 5: ("mass", "momentum", "energy", "bc", "ic")}
_LOSSES[6] = ("momentum", "continuity", "heat", "salt", "bc", "ic")
_PLANS = {
    "persistent": ("adapters + reweighting", "ntk", True),
    "magnitude": ("reweighting", "ntk", False),
    "benign": ("none", None, False),
}


def record(problem="heat_1d", method="none", seed=0, error=0.1, **changes):
    """One record.

    Args:
        error: final error, the same for every output; ``None`` is a run without one.
        changes: entries of the record to replace; besides ``outputs`` (names), ``losses`` (names of
            losses), ``regime``, ``norm_ratio``, ``cosine``, ``points`` (of the curve).
    """
    outputs = changes.pop("outputs", ("u",))
    losses = changes.pop("losses", ("pde", "bc", "ic"))
    regime = changes.pop("regime", "magnitude")
    diagnosis = {"regime": regime, "too_short": False, "checks": []}
    conflict = _conflict(losses, changes.pop("norm_ratio", 20.0), changes.pop("cosine", -0.05))
    steps, cpu = changes.get("steps", 1000), changes.get("cpu_time_s", 10.0)
    made = {
        "schema": 1,
        "problem": problem,
        "family": "forward_k3",
        "K": len(losses),
        "method": method,
        "options": {},
        "seed": seed,
        "budget": "cpu",
        "settings": {"steps": steps, "learning_rate": 1e-3, "points": dict.fromkeys(losses, 64)},
        "status": "ok",
        "message": None,
        "relative_l2": dict.fromkeys(outputs, error),
        "error": error,
        "unknowns": {},
        "steps": steps,
        "wall_time_s": cpu,
        "cpu_time_s": cpu,
        "parameters": {"network": 1000, "adapters": 0},
        "curve": curve(error, steps, cpu, outputs, losses, changes.pop("points", 11)),
        "coefficients": {},
        "conflict": conflict,
        "diagnosis": diagnosis,
        "plan": plan(regime) if method.startswith("auto") else None,
        "trained_with": [[0, method]],
        "decisions": [],
        "profile": None,
        "versions": {
            "conflictopt": "0.1.0",
            "torch": "2.13.0",
            "numpy": "2.4.6",
            "python": "3.11.4",
        },
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        "digest": {"problem": f"{zlib.crc32(problem.encode()):016x}", "source": "0123456789abcdef"},
        "started": "2026-11-24T17:00:00Z",
    }
    return {**made, **changes}


def broken(problem="heat_1d", method="none", seed=0, status="diverged", **changes):
    """The record of a run that failed or diverged."""
    message = changes.pop("message", "the loss is not finite at step 120")
    made = record(problem, method, seed, None, status=status, message=message, **changes)
    made["relative_l2"] = {} if status == "failed" else dict.fromkeys(made["relative_l2"])
    return {**made, **changes}


def curve(error, steps=1000, cpu=10.0, outputs=("u",), losses=("pde", "bc", "ic"), points=11):
    """A curve along which the logarithm of the error falls linearly from that of 1."""
    share = np.linspace(0, 1, points)
    values = [None if error is None and s > 0.5 else (error or 0.5) ** s for s in share]
    return {
        "step": [round(s * steps) for s in share],
        "cpu_time_s": [float(s * cpu) for s in share],
        "losses": dict.fromkeys(losses, values),
        "relative_l2": dict.fromkeys(outputs, values),
    }


def plan(regime, reweighting="ntk"):
    """What ``select`` makes of a regime."""
    kind, method, adapters = _PLANS[regime]
    reason = "because of the profile."
    method = reweighting if method else None
    return {"kind": kind, "reweighting": method, "adapters": adapters, "reason": reason}


def suite(methods, seeds=3, families=None, noise=0.15, rng_seed=0, names=None):
    """A whole study: errors are a base per problem, an effect per method and problem, and noise.

    Args:
        methods: label -> (factor on the error, spread of its logarithm over problems, time of a
            step relative to the plain one).
        families: family -> number of problems; by default the suite's.
        names: family -> ids, instead of made-up ones.
    """
    rng = np.random.default_rng(rng_seed)
    made = []
    for family, size in (families or FAMILIES).items():
        for i in range(size):
            problem = names[family][i] if names else f"{family}_problem_{i:02d}"
            made += _of_problem(problem, family, methods, seeds, noise, rng)
    return made


def _of_problem(problem, family, methods, seeds, noise, rng):
    k = int(family[-1]) if family.startswith("multiphysics") else 3
    losses = ("pde", "bc_ic", "data") if family == "inverse_k3" else ("pde", "bc", "ic")
    losses = _LOSSES.get(k, losses)
    regime = rng.choice(["persistent", "magnitude", "benign"], p=[0.3, 0.5, 0.2])
    base, cpu = 10 ** rng.uniform(-3, -0.3), rng.uniform(15, 90)
    effects = {m: f * math.exp(rng.normal(0, s)) for m, (f, s, _) in methods.items()}
    made = []
    for seed in range(seeds):
        start = rng.normal(0, noise)
        for method, (_, _, slower) in methods.items():
            error = base * effects[method] * math.exp(start + rng.normal(0, noise))
            true = {"D": {"true": 1.0, "found": 1 + error, "relative_error": error}}
            details = {
                "family": family,
                "losses": losses,
                "outputs": ("u", "v")[: 1 + k % 2],
                "regime": str(regime if rng.random() < 0.9 else "benign"),
                "norm_ratio": float(10 ** rng.uniform(0.3, 3)),
                "cosine": float(rng.uniform(-0.4, 0.2)),
                "unknowns": true if family == "inverse_k3" else {},
                "cpu_time_s": cpu * slower,
                "points": 41,
                "parameters": {"network": 3297, "adapters": 600 * ("adapters" in method)},
            }
            if rng.random() < 0.015 and method != "none":
                made.append(broken(problem, method, seed, **details))
            else:
                made.append(record(problem, method, seed, float(min(error, 3)), **details))
    return made


def _conflict(losses, norm_ratio, cosine):
    pairs = [
        {
            "first": first,
            "second": second,
            "conflict": 0.4,
            "conflict_late": 0.5 - 0.1 * i,
            "cosine": cosine,
            "cosine_late": cosine + 0.1 * i,
            "longest_run": 7,
        }
        for i, (first, second) in enumerate(pairwise(losses))
    ]
    norms = [{"name": n, "first": 1.0, "last": 0.1, "norm": 1.0, "norm_late": 1.0} for n in losses]
    return {"samples": 100, "norm_ratio": norm_ratio, "pairs": pairs, "losses": norms}
