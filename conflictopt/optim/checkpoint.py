"""What ``MultiLossOptimizer`` adds to the wrapped optimizer's ``state_dict``, and how it is read.

The wrapped optimizer's own keys stay at top level, so that it can load the file by itself; ours
are under ``"conflictopt"`` and hold only tensors, numbers and strings (``weights_only=True``).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..core.aggregator import Aggregator, State
from ..core.errors import CheckpointError
from ..core.layout import ParameterLayout
from ..core.reports import Reports
from ..methods.registry import to_config
from .conflict_counts import ConflictCounts
from .last_step import LastStep

if TYPE_CHECKING:
    from .session import Session

KEY = "conflictopt"
VERSION = 3


def save(session: Session) -> dict[str, Any]:
    """Tensors, numbers and strings that ``resume`` goes on from."""
    return {
        "version": VERSION,
        "method": session.aggregator.label,
        "config": to_config(session.aggregator),
        "names": list(session.names) if session.names is not None else None,
        "completed": session.completed,
        "began": session.began,
        "generator": session.random_state,
        "state": dict(session.state) if session.state is not None else None,
        "reports": session.reports.state_dict(),
        "conflicts": session.conflicts.state_dict(),
        "coefficients": session.last.coefficients if session.last is not None else None,
        "losses": session.last.losses if session.last is not None else None,
        "blocks": list(map(list, session.last.blocks)) if session.last is not None else None,
    }


def resume(session: Session, saved: Mapping[str, Any], layout: ParameterLayout) -> bool:
    """Go on from a checkpoint: with everything if it is of this method, else without its state.

    Returns:
        Whether it was this method's.

    Raises:
        CheckpointError: other losses, or a state that does not fit.
    """
    same = bool(saved["method"] == session.aggregator.label)
    names = tuple(saved["names"]) if saved["names"] is not None else None
    if session.names is not None and names is not None and names != session.names:
        raise CheckpointError(
            f"expected the losses {session.names}, found {names} in the checkpoint."
        )
    session.discard()
    session.names = names or session.names
    state = None
    if same and saved["state"] is not None:
        fresh = session.aggregator.init(session.spec(layout, names or ()))
        _check_blocks(session.aggregator, saved["blocks"], layout)
        grows = layout if session.aggregator.grows else None
        state = fit_state(saved["state"], fresh, grows)
    session.state = state
    session.completed = saved["completed"]
    session.began = saved["began"] if same else session.completed
    session.reports = Reports(saved["reports"])
    session.conflicts = ConflictCounts.of(saved.get("conflicts"))
    session.generator.set_state(saved["generator"].cpu())
    session.last = None
    if saved["coefficients"] is not None and session.names is not None:
        c = saved["coefficients"].to(device=layout.device, dtype=layout.dtype)
        blocks = tuple((name, size) for name, size in saved["blocks"])
        session.last = LastStep(session.names, tuple(saved["losses"].tolist()), c, blocks)
    return same


def _check_blocks(method: Aggregator, saved: Any, layout: ParameterLayout) -> None:
    outline = [list(block) for block in layout.outline]
    if method.per_parameter and saved is not None and saved != outline:
        raise CheckpointError(
            f"{method.label} saved moments of every parameter in the blocks {saved}, "
            f"found the blocks {outline}: load into the optimizer as it was."
        )


def fit_state(
    saved: Mapping[str, Tensor], fresh: State, grows: ParameterLayout | None = None
) -> State:
    """Saved method state on the device and in the dtype of a freshly initialised one.

    Args:
        saved: from a checkpoint.
        fresh: as the method starts.
        grows: the parameters, if there may be more keys, which follow the collocation points; the
            method itself compares them with its points at the next step.

    Raises:
        CheckpointError: keys or shapes differ.
    """
    more = set(saved) - set(fresh) if grows is not None else set()
    if set(saved) - more != set(fresh):
        raise CheckpointError(
            f"expected the method state {sorted(fresh)}, found {sorted(saved)} in the checkpoint."
        )
    for key, value in fresh.items():
        if saved[key].shape != value.shape:
            raise CheckpointError(
                f"expected '{key}' of shape {tuple(value.shape)} in the checkpoint, found "
                f"{tuple(saved[key].shape)}: was it saved for another number of losses?"
            )
    fitted = {k: saved[k].to(device=v.device, dtype=v.dtype).clone() for k, v in fresh.items()}
    for key in more:
        assert grows is not None
        value = saved[key].to(grows.device)
        fitted[key] = value.to(grows.dtype) if value.is_floating_point() else value
    return fitted


def difference(extras: dict[str, Any] | None, same: bool, aggregator: Aggregator) -> str | None:
    """What to tell the user of a checkpoint that is not quite this run's; ``None`` if it is."""
    if extras is None or not same:
        found = extras["method"] if extras is not None else "the plain optimizer"
        return f"the checkpoint is of {found}; {aggregator.label} starts with fresh state."
    config = to_config(aggregator)
    if extras["config"] != config:
        return f"the checkpoint's options are {extras['config']}; training goes on with {config}."
    return None


def without_extras(
    state_dict: Mapping[str, Any], groups: list[dict[str, Any]], adapters: Iterable[Tensor]
) -> dict[str, Any]:
    """The wrapped optimizer's part, fitted to the present parameter groups.

    A checkpoint from before adapters were attached has shorter groups; the adapters' parameters,
    which come last in theirs, then load without state, as if just added.
    """
    inner = {k: v for k, v in state_dict.items() if k != KEY}
    known = {id(p) for p in adapters}
    saved = copy.copy(inner["param_groups"])
    fresh = -1
    for i, (old, new) in enumerate(zip(saved, groups, strict=False)):
        extra = new["params"][len(old["params"]) :]
        if extra and all(id(p) in known for p in extra):
            ids = list(range(fresh, fresh - len(extra), -1))
            fresh -= len(extra)
            saved[i] = {**old, "params": [*old["params"], *ids]}
    return {**inner, "param_groups": saved}
