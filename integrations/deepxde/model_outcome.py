"""What a trained model came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from conflictopt.auto.script_outcome import BestStep, Displays, ScriptOutcome

if TYPE_CHECKING:
    from .patched_model import Patch


def outcome_of(
    patch: Patch, method: str, seconds: float, displayed: Sequence[float]
) -> ScriptOutcome:
    """Final losses and metrics of a model that was trained.

    Args:
        patch: of the model.
        method: that was asked for.
        seconds: within the model's own calls of ``train``.
        displayed: those at every display.
    """
    assert patch.optimizer is not None
    history = patch.model.losshistory
    entries = list(patch.groups.entries) if patch.groups is not None else []
    last = history.metrics_test[-1] if history.metrics_test else []
    return ScriptOutcome(
        method=method,
        trained_with=[{"from_step": s, "method": m} for s, m in patch.trained_with],
        plan_applied=patch.plan_applied,
        decisions=[d.to_json() for d in patch.decisions],
        engine=patch.optimizer.session.engine,
        every=patch.optimizer.session.every,
        steps=patch.steps,
        skipped_steps=patch.optimizer.skipped,
        wall_time_s=round(seconds, 3) if seconds else None,
        train_loss=_named(entries, history.loss_train),
        test_loss=_named(entries, history.loss_test),
        metrics=_named(list(patch.metric_names), [last]),
        displays=_displays(patch, displayed),
        best=_best(patch),
        unknowns=[v.detach().cpu().tolist() for v in patch.model.external_trainable_variables],
        adapter_parameters=(
            sum(p.numel() for p in patch.adapters.parameters()) if patch.adapters else 0
        ),
        residual_steps=patch.controller.residual_steps,
        log=list(patch.log),
    )


def _displays(patch: Patch, seconds: Sequence[float]) -> Displays:
    history, names = patch.model.losshistory, list(patch.metric_names)
    losses = [float(sum(map(float, entries))) for entries in history.loss_train]
    # a later compile may ask for fewer
    rows = [[*map(float, row), *[math.nan] * len(names)] for row in history.metrics_test]
    metrics = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    known = seconds if len(seconds) == len(losses) else ()
    return Displays([round(s, 3) for s in known], losses, metrics)


def _best(patch: Patch) -> BestStep | None:
    """By DeepXDE's own count, under L-BFGS of iterations."""
    state = patch.model.train_state
    if state.best_metrics is None:
        return None
    metrics = _named(list(patch.metric_names), [state.best_metrics])
    return BestStep(state.best_step, float(state.best_loss_train), metrics)


def _named(names: list[str], history: Any) -> dict[str, float]:
    if not len(history):
        return {}
    values = [float(v) for v in history[-1]]
    padded = names + [f"entry_{i}" for i in range(len(names), len(values))]
    return dict(zip(padded, values, strict=False))
