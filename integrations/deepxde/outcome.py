"""What a trained script came to."""

from __future__ import annotations

from typing import Any


def outcome(patch: Any, method: str, seconds: float) -> dict[str, Any]:
    """Final losses and metrics of a model as plain data.

    ``wall_time_s`` is ``seconds``, the time within the model's own calls of ``train``; ``None`` if
    the script trains the model without them.
    ``train_loss`` and ``test_loss`` are DeepXDE's own entries (user weights included);
    ``metrics`` are those the script compiled the model with. ``best`` is of the step that DeepXDE
    itself calls best, the displayed one with the lowest sum of the train losses, by its own count
    (under L-BFGS of iterations); ``None`` before any is.
    """
    history = patch.model.losshistory
    entries = list(patch.groups.entries) if patch.groups is not None else []
    last = history.metrics_test[-1] if history.metrics_test else []
    return {
        "method": method,
        "trained_with": [{"from_step": s, "method": m} for s, m in patch.trained_with],
        "plan_applied": patch.plan_applied,
        "decisions": [d.to_json() for d in patch.decisions],
        "engine": patch.optimizer.session.engine,
        "every": patch.optimizer.session.every,
        "steps": patch.steps,
        "skipped_steps": patch.optimizer.skipped,
        "wall_time_s": round(seconds, 3) if seconds else None,
        "train_loss": _named(entries, history.loss_train),
        "test_loss": _named(entries, history.loss_test),
        "metrics": _named(list(patch.metric_names), [last]),
        "best": _best(patch),
        "unknowns": [v.detach().cpu().tolist() for v in patch.model.external_trainable_variables],
        "adapter_parameters": (
            sum(p.numel() for p in patch.adapters.parameters()) if patch.adapters else 0
        ),
        "log": list(patch.log),
    }


def _best(patch: Any) -> dict[str, Any] | None:
    state = patch.model.train_state
    if state.best_metrics is None:
        return None
    metrics = _named(list(patch.metric_names), [state.best_metrics])
    return {
        "step": state.best_step,
        "train_loss": float(state.best_loss_train),
        "metrics": metrics,
    }


def _named(names: list[str], history: Any) -> dict[str, float]:
    if not len(history):
        return {}
    values = [float(v) for v in history[-1]]
    padded = names + [f"entry_{i}" for i in range(len(names), len(values))]
    return dict(zip(padded, values, strict=False))
