"""Synthetic studies: regimes by construction, effects of methods per regime, noise."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

_SPEC = importlib.util.spec_from_file_location(
    "calibration_factory", Path(__file__).parents[1] / "study_report" / "factory.py"
)
factory = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(factory)

PROFILES = {"persistent": (-0.6, 2.0), "magnitude": (0.5, 50.0), "benign": (0.5, 2.0)}
"""Cosine and norm ratio of the two losses."""


def profile(cosine, ratio, samples=60):
    """A raw profile as records keep it."""
    gram = [[1.0, cosine * ratio], [cosine * ratio, ratio**2]]
    return {
        "names": ["pde", "bc"],
        "steps": list(range(0, 10 * samples, 10)),
        "losses": [[1.0, 1.0]] * samples,
        "gramians": [gram] * samples,
    }


def study(effects, sizes, seeds=3, noise=0.1, rng_seed=0, samples=60, profiles=PROFILES):
    """Records of plain training and of methods.

    Args:
        effects: label -> regime -> factor on the error; a number is the factor in all regimes.
        sizes: regime -> number of problems.
        noise: spread of the logarithm of every error.
        profiles: regime -> cosine, ratio.
    """
    rng = np.random.default_rng(rng_seed)
    made = []
    for regime, size in sizes.items():
        for i in range(size):
            problem = f"{regime}_{i:02d}"
            base = 10 ** rng.uniform(-3, -1)
            for seed in range(seeds):
                for label, factors in {"none": 1.0, **effects}.items():
                    factor = factors[regime] if isinstance(factors, dict) else factors
                    error = base * factor * math.exp(rng.normal(0, noise))
                    raw = profile(*profiles[regime], samples) if label == "none" else None
                    made.append(factory.record(problem, label, seed, error, profile=raw))
    return made


@pytest.fixture(scope="session")
def records_of():
    """``records_of(effects, sizes, ...)``: see ``study``."""
    return study


@pytest.fixture(scope="session")
def broken():
    """``broken(problem, method, seed)``: the record of a run that diverged."""
    return factory.broken
