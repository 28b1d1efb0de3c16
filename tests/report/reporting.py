"""Findings of every kind of verdict, for the tests of the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from conflictopt import Plan, Profile, diagnose, make, select
from conflictopt.diagnosis.replay import replay
from conflictopt.report.content import ReportContent
from conflictopt.report.script import Script

LONG = (
    "pde_momentum_x",
    "pde_momentum_y",
    "pde_continuity",
    "boundary_inlet_velocity",
    "boundary_outlet_pressure",
    "data_sensor_readings",
)
SCRIPT = Script("my script.py")


def profile(names, cosine=0.5, ratio=1.0, samples=60, noise=0.0, layers=2, seed=0) -> Profile:
    """Losses whose gradients all have about the same cosine to the first, in two layers."""
    rng, count = np.random.default_rng(seed), len(names)
    rows = np.zeros((samples, layers or 1, count, count + 1))
    rows[..., 0, 0] = 1.0
    for k in range(1, count):
        rows[..., k, 0], rows[..., k, k] = cosine, np.sqrt(1 - cosine**2)
    rows += noise * rng.standard_normal((samples, 1, count, count + 1))
    rows *= np.geomspace(1.0, ratio, count)[:, None]
    blocks = rows @ rows.swapaxes(-1, -2)
    steps, losses = 10 * np.arange(samples), np.ones((samples, count))
    kept = (tuple(f"layer{b}" for b in range(layers)), blocks) if layers else ((), None)
    return Profile(tuple(names), steps, losses, blocks.sum(axis=1), *kept)


def cases() -> dict[str, Profile]:
    """By what the report has to say."""
    three = ("pde", "boundary", "initial")
    return {
        "persistent": profile(("pde", "boundary"), -0.5),
        "magnitude": profile(three, 0.5, ratio=1e3),
        "benign": profile(three, 0.5, layers=0),
        "short": profile(three, -0.5, samples=12),
        "close": profile(("pde", "boundary"), -0.13, noise=0.1, samples=70, seed=2),
        "many": profile(LONG, -0.4, noise=0.1),
        "one": profile(("pde",)),
        "single sample": profile(three, samples=1),
    }


def findings(found: Profile, **more: Any) -> ReportContent:
    """With a plan, a script and replays."""
    diagnosis = diagnose(found)
    replays = tuple(replay(found, make(name)) for name in ("sum", "pcgrad"))
    return ReportContent(
        diagnosis, select(diagnosis), **{"script": SCRIPT, "replays": replays, **more}
    )


def plan(kind: str, method: str | None = "ntk", surgery: str | None = None, **design: Any) -> Plan:
    """A plan of a rule of one's own."""
    adapters = kind.startswith("adapters")
    return Plan(kind, method, adapters, "of a test.", design, surgery)  # type: ignore[arg-type]
