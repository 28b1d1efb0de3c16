"""Parts of a record, from what a run holds at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ...adapters.attachment import ATTRIBUTE
from ...diagnosis.diagnosis import Diagnosis
from ...optim.optimizer import MultiLossOptimizer
from ..problems.problem import Problem


def outcome_of(
    problem: Problem, net: nn.Module, unknowns: Mapping[str, Tensor], message: str | None
) -> dict[str, Any]:
    """How a run ended, and how good its result is.

    Args:
        message: of a run that diverged.
    """
    errors = problem.relative_l2(net)
    finite = all(map(math.isfinite, errors.values())) and message is None
    return {
        "family": problem.family,
        "K": problem.K,
        "status": "ok" if finite else "diverged",
        "message": message if finite or message else "the error is not finite",
        "relative_l2": errors,
        "error": geometric_mean(errors) if finite else None,
        "unknowns": found_unknowns(problem, unknowns),
    }


def reports_of(optimizer: MultiLossOptimizer) -> dict[str, Any]:
    """Bounds that acted and fallbacks that were taken, by kind."""
    return {
        kind: {"count": r.count, "last": r.last, "message": r.message}
        for kind, r in optimizer.reports.items()
    }


def found_unknowns(problem: Problem, values: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Per unknown its true and found value and the relative error; absolute if the truth is 0."""
    found = {}
    for name, unknown in problem.spec.unknowns.items():
        value = values[name].item()
        error = abs(value - unknown.true) / (abs(unknown.true) or 1.0)
        found[name] = {"true": unknown.true, "found": value, "relative_error": error}
    return found


def parameter_counts(net: nn.Module) -> dict[str, int]:
    """Of the network proper and of its adapters."""
    sizes = {"network": 0, "adapters": 0}
    for name, p in net.named_parameters():
        sizes["adapters" if ATTRIBUTE in name else "network"] += p.numel()
    return sizes


def geometric_mean(errors: Mapping[str, float]) -> float:
    """Of positive numbers; an error of exactly 0 counts as 1e-300."""
    return math.exp(sum(math.log(max(e, 1e-300)) for e in errors.values()) / len(errors))


def conflict_of(diagnosis: Diagnosis) -> dict[str, Any]:
    """The statistics of a profile."""
    content = diagnosis.to_json()
    kept = {k: content[k] for k in ("samples", "norm_ratio", "pairs", "losses")}
    found: dict[str, Any] = rounded(kept)
    return found


def verdict_of(diagnosis: Diagnosis) -> dict[str, Any]:
    """The regime and the comparisons that decided it."""
    content = diagnosis.to_json()
    kept = {k: content[k] for k in ("regime", "too_short", "checks")}
    found: dict[str, Any] = rounded(kept)
    return found


def rounded(value: Any) -> Any:
    """Five significant digits everywhere: records are many."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
