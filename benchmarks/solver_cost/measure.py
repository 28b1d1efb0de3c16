"""One method at one size measured: times, and how far the two updates are apart."""

from __future__ import annotations

import time
import warnings
from typing import Any

import torch
from torch import Tensor

from ..step_cost.timing import interleave, samples, spread
from .contenders import Call, SolverContender
from .matrices import Gradients

Record = dict[str, Any]

PAIRS = 10
SLOW = 0.02
"""Seconds from which on a round has one pair of calls rather than ``PAIRS``."""
COLD = 2.0
"""Seconds above which a first call says enough of the later ones."""


def measure(contender: SolverContender, gradients: Gradients, seconds: float) -> Record:
    """Compare the first updates, then time both in pairs.

    Returns:
        Quartiles of ``ours_ms``, ``torchjd_ms`` and ``ratio`` over ``pairs`` pairs;
        ``difference`` of the updates relative to the longer, ``random`` if their draws differ; the
        smallest cosine of each to a gradient, and whether none may be negative (``promises``).
        ``failed`` alone if torchjd has no finite update.
    """
    ours, theirs = contender.ours(gradients), contender.theirs(gradients)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own, least = _timed(ours)
        try:
            other, most = _timed(theirs)
        except Exception as error:  # whatever its solvers raise
            return {"failed": f"{type(error).__name__}: {error}"}
        if not other.isfinite().all():
            return {"failed": "the update is not finite"}
        record = _compared(contender, gradients, own, other)
        del own, other
        return {**_times(ours, theirs, max(least, most) < SLOW, seconds), **record}


def _timed(call: Call) -> tuple[Tensor, float]:
    """The first update of a fresh contender, and the seconds that it takes later on."""
    began = time.perf_counter()
    first = call()
    took = time.perf_counter() - began
    if took < COLD:
        began = time.perf_counter()
        call()
        took = time.perf_counter() - began
    return first, took


def _times(ours: Call, theirs: Call, quick: bool, seconds: float) -> Record:
    timed = {"ours": (ours, PAIRS if quick else 1)}
    blocks = interleave(theirs, timed, seconds)["ours"]
    found = samples(blocks, refresh=1)
    return {
        "ours_ms": _rounded([s.ms for s in found]),
        "torchjd_ms": _rounded([ms for block in blocks for ms in block.plain]),
        "ratio": _rounded([s.ratio for s in found]),
        "pairs": len(found),
    }


def _compared(
    contender: SolverContender, gradients: Gradients, own: Tensor, other: Tensor
) -> Record:
    factor = len(gradients.rows) if contender.mean else 1
    ours, theirs = own.double(), other.double() * factor
    difference = torch.dist(ours, theirs) / torch.maximum(ours.norm(), theirs.norm())
    return {
        "difference": float(f"{difference.item():.3g}"),
        "random": len(gradients.rows) > contender.random,
        "cosine": float(f"{gradients.cosines(own).min().item():.4g}"),
        "torchjd_cosine": float(f"{gradients.cosines(other).min().item():.4g}"),
        "promises": contender.promises,
    }


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{x:.4g}") for x in spread(values)]
