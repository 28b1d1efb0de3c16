"""The checkpoint of a whole ``MultiLossOptimizer``: the wrapped optimizer's, and ours beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core.layout import ADAPTER, ParameterLayout
from . import checkpoint
from . import line_search as linesearch
from .control import Control
from .session import Session


class Checkpointed(Protocol):
    """What a checkpoint needs of the optimizer: a ``MultiLossOptimizer``."""

    inner: torch.optim.Optimizer
    session: Session
    control: Control | None
    blocks: dict[str, list[Tensor]]
    skipped: int
    param_groups: list[dict[str, Any]]

    def layout(self) -> ParameterLayout: ...


def save(run: Checkpointed) -> dict[str, Any]:
    """The wrapped optimizer's ``state_dict``, with our part under a key of its own."""
    extras = {**checkpoint.save(run.session), "skipped": run.skipped}
    if run.control is not None:
        extras["control"] = run.control.state_dict()
    return {**run.inner.state_dict(), checkpoint.KEY: extras}


def load(run: Checkpointed, given: Mapping[str, Any]) -> str | None:
    """Go on from a checkpoint; a sentence if it is not quite this run's.

    Raises:
        CheckpointError: one that does not fit; nothing is half loaded.
    """
    extras = given.get(checkpoint.KEY)
    before = run.session.__getstate__(), dict(getattr(run.control, "__dict__", {}))
    same = False
    try:
        if run.control is not None:
            run.control.load_state_dict((extras or {}).get("control"), run)
        adapters = [p for n, ps in run.blocks.items() if n.startswith(ADAPTER) for p in ps]
        inner = checkpoint.without_extras(given, run.param_groups, adapters)
        if extras is not None:
            same = checkpoint.resume(run.session, extras, run.layout())
        else:
            run.session.use(run.session.aggregator)
        run.inner.load_state_dict(inner)
    except Exception:
        # torch checks its part before it changes anything
        run.session.__setstate__(before[0])
        if run.control is not None:
            vars(run.control).update(before[1])
        raise
    run.skipped = extras["skipped"] if extras is not None else run.skipped
    linesearch.fit_parameters(run.inner)
    if run.control is not None:
        run.control.loaded(run)
    return checkpoint.difference(extras, same, run.session.aggregator)
